"""The multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated

from torch import Tensor, nn

from weft import Choice, Range
from weft_basics.models.numbers import numbers


class MLP(nn.Module):
    """Hidden layers of equal width on the flattened sample, each followed by an activation, then a linear layer.

    (N, *inputs) -> (N, outputs).

    Raises:
        ValueError: the samples are tokens.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        width: Annotated[int, Range(1, 16384, log=True), "units in a hidden layer"] = 128,
        depth: Annotated[int, Range(1, 32), "number of hidden layers"] = 1,
        activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "relu",  # type: ignore[assignment]
        output_activation: Annotated[Callable[[], nn.Module], Choice("activation"), "after the last layer"] = "identity",  # type: ignore[assignment]
    ):
        super().__init__()
        widths = [numbers(inputs, vocabulary, "mlp"), *[width] * depth]
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.activations = nn.ModuleList(activation() for _ in self.hidden)
        self.output = nn.Linear(width, outputs)
        self.output_activation = output_activation()

    def forward(self, inputs: Tensor) -> Tensor:
        units = inputs.flatten(1)
        for layer, activation in zip(self.hidden, self.activations, strict=True):
            units = activation(layer(units))
        outputs: Tensor = self.output_activation(self.output(units))
        return outputs
