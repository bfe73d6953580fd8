"""Samples a part at a time, where something is held against each of many groups: all at once it would fill the memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_AT_ONCE = 2**24
"""Numbers of one intermediate result: 64 MiB in 32 bits."""


def parts(samples: Tensor, numbers: int) -> tuple[Tensor, ...]:
    """Return samples (N, …) in parts that make results of so many numbers each sample, of a size that there is memory for."""
    return samples.split(max(1, _AT_ONCE // numbers))


def by_parts(function: Callable[[Tensor], Tensor], samples: Tensor, numbers: int) -> Tensor:
    """Return what a function makes of samples (N, …), whose intermediate results have so many numbers for each of them. Where
    these are too many to be kept for gradients they are computed once more."""
    found = parts(samples, numbers)
    if len(found) == 1:
        return function(samples)
    if not torch.is_grad_enabled():
        return torch.cat([function(part) for part in found])
    return torch.cat([checkpoint(function, part, use_reentrant=False, preserve_rng_state=False) for part in found])
