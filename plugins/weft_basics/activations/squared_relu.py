"""The square of the ReLU."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def squared_relu(input: Tensor) -> Tensor:
    """max(0, x)² (So et al., 2021).

    "Primer: searching for efficient transformers for language modeling".
    """
    return functional.relu(input).square()
