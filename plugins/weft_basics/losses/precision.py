"""Sums of many numbers are off in the third digit where they are made in 16 bits, as autocast leaves them."""

from __future__ import annotations

import torch
from torch import Tensor


def widened(numbers: Tensor) -> Tensor:
    """Return the numbers in 32 bits, or in more where they have more."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))
