"""One linear layer: with mse a linear regression, with cross_entropy a logistic one, with hinge a support vector machine."""

from __future__ import annotations

import math

from torch import Tensor, nn


class Linear(nn.Module):
    """One linear layer on the flattened sample.

    (N, *inputs) -> (N, outputs).

    Raises:
        ValueError: the samples are tokens.
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int, vocabulary: int | None = None):
        super().__init__()
        if vocabulary is not None:
            raise ValueError("linear takes numbers, and this dataset's samples are tokens; rnn takes them")
        self.output = nn.Linear(math.prod(inputs), outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.output(inputs.flatten(1))
        return outputs
