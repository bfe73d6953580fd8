"""How large numbers are: counts of elements by sign and power of two, exact, with no range to choose.

A number's bin is its floating-point exponent (IEEE 754, section 3.4), which a shift of its own bits yields: no logarithm, no
search. float16 and bfloat16 are numbers of float32; those of float64 that lie outside of its range go into the outermost bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = 513
"""Counts of a tensor: 256 exponents of negative numbers, 256 of positive ones, and the zeros of either sign. Of the 256 the
first is of numbers below the smallest normal one, the last of NaN and infinity."""
SMALLEST = -127
"""The power of two that stands for the first bin: everything below 2**-126 but zero."""
_EXPONENTS = 256
_LANES = 64
"""Counters of one bin on an accelerator, so that its threads don't all wait for one another."""


class Histogram(NamedTuple):
    """Counts taken apart. `counts` has the shape […, 2, 255]: negative and positive, then powers of two from `SMALLEST` on;
    a number x is counted at floor(log2 |x|). `zeros` and `nonfinite` have the shape […]. Together they are all elements."""

    counts: NDArray[np.integer]
    zeros: NDArray[np.integer]
    nonfinite: NDArray[np.integer]


def exponents(numbers: Tensor) -> Tensor:
    """Return the exponent that each number is stored with as float32, from 0 to 255, less 256 where the number is negative:
    whole numbers of the same shape. Zero has the exponent of the smallest numbers."""
    if numbers.dtype is not torch.float64:
        return numbers.float().view(torch.int32) >> 23
    bits = numbers.view(torch.int64)
    wide = (bits >> 52) & 2047
    return torch.where(wide == 2047, 255, (wide - 896).clamp_(0, 254)) - _EXPONENTS * (bits < 0)


def counted(numbers: Tensor) -> Tensor:
    """Return the counts of a tensor's elements, [513] of int32, where they are. Nothing waits for an accelerator."""
    numbers = numbers.detach().reshape(-1)
    if numbers.device.type == "cpu":
        numbers = numbers if numbers.dtype is torch.float64 else numbers.float()
        return counted_parts(numbers, [slice(0, len(numbers))], first_bins([len(numbers)]))[0]
    found = torch.where(numbers == 0, _EXPONENTS, exponents(numbers))
    lanes = torch.arange(len(found), device=found.device).remainder_(_LANES).mul_(BINS).add_(found).add_(_EXPONENTS)
    one = torch.ones((), dtype=torch.int32, device=found.device)
    counts = torch.zeros(_LANES * BINS, dtype=torch.int32, device=found.device)
    return counts.scatter_add_(0, lanes, one.expand(len(found))).view(_LANES, BINS).sum(0, dtype=torch.int32)


def counted_parts(numbers: Tensor, parts: Sequence[slice], first: Tensor) -> Tensor:
    """Return the counts of each part of a row in memory, [parts, 513] of int32. `first` is what `first_bins` says."""
    bins = np.bincount(exponents(numbers).add_(first).numpy(), minlength=len(parts) * 2 * _EXPONENTS)
    counts = np.zeros((len(parts), BINS), np.int32)
    counts[:, :-1] = bins.reshape(len(parts), 2 * _EXPONENTS)
    smallest = counts[:, 0] + counts[:, _EXPONENTS]
    for place in smallest.nonzero()[0].tolist():
        part = numbers[parts[place]].numpy()
        zeros = negative = len(part) - np.count_nonzero(part)
        if zeros < smallest[place]:  # some are numbers, rarely: which of the zeros are negative matters then
            negative = np.count_nonzero(np.signbit(part) & (part == 0))
        counts[place, -1] = zeros
        counts[place, 0] = max(0, counts[place, 0] - negative)
        counts[place, _EXPONENTS] = smallest[place] - zeros - counts[place, 0]
    return torch.from_numpy(counts)


def first_bins(sizes: Sequence[int]) -> Tensor:
    """Return the place of exponent 0 for each number of parts of these sizes, [sum of sizes]."""
    starts = torch.arange(len(sizes), dtype=torch.int32) * 2 * _EXPONENTS + _EXPONENTS
    return starts.repeat_interleave(torch.tensor(sizes))


def apart(counts: NDArray[np.integer]) -> Histogram:
    """Return counts […, 513] taken apart."""
    signs = counts[..., :-1].reshape(*counts.shape[:-1], 2, _EXPONENTS)
    return Histogram(signs[..., :-1], counts[..., -1], signs[..., -1].sum(-1))
