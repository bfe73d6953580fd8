"""What torch would broadcast without a word: (N, 1) against (N,) gives N x N differences."""

from __future__ import annotations

from torch import Tensor


def check_shapes(outputs: Tensor, targets: Tensor) -> None:
    """Raise ValueError where torch would broadcast outputs against targets."""
    if outputs.shape != targets.shape:
        raise ValueError(f"outputs of shape {list(outputs.shape)} can't be held against targets of shape {list(targets.shape)}")
