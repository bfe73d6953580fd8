"""The perceptron's step, with a gradient to learn by."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from weft import Range


def step(input: Tensor, steepness: Annotated[float, Range(0.01, 100, log=True), "of the gradient's sigmoid"] = 1.0) -> Tensor:
    """1 where the input is at least 0, else 0; its gradient is that of sigmoid(steepness · x).

    The true gradient is zero nearly everywhere and would teach nothing; this is a surrogate (Neftci et al., "Surrogate
    gradient learning in spiking neural networks", 2019).
    """
    surrogate = torch.sigmoid(steepness * input)
    # The difference is exactly zero, so the value stays exactly 0 or 1; only the gradient of the first term is left.
    return (input >= 0).to(input.dtype) + (surrogate - surrogate.detach())


step.cannot = {"gradients": "they are a surrogate's, on purpose"}  # type: ignore[attr-defined]
