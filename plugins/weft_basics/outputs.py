"""What of a model's outputs is its answer."""

from __future__ import annotations

from torch import Tensor


def answer(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the outputs, or the first of them where a model has several."""
    return outputs[0] if isinstance(outputs, tuple) else outputs
