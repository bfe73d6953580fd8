"""One linear layer: with mse a linear regression, with cross_entropy a logistic one, with hinge a support vector machine."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor, nn

from weft_basics.models.numbers import numbers


class Linear(nn.Module):
    """One linear layer on the flattened sample: a neuron for each output.

    (N, *inputs) -> (N, outputs). Where a loss is convex, any beginning leads to the same end; the perceptron's rule begins at
    zeros.

    Raises:
        ValueError: the samples are tokens.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        begin: Annotated[Literal["uniform", "zeros"], "initial weights: torch's, up to 1 / sqrt(inputs), or zeros"] = "uniform",
    ):
        super().__init__()
        self.output = nn.Linear(numbers(inputs, vocabulary, "linear"), outputs)
        if begin == "zeros":
            nn.init.zeros_(self.output.weight)
            nn.init.zeros_(self.output.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.output(inputs.flatten(1))
        return outputs
