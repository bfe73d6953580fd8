"""The multi-layer perceptron."""

import math
from collections.abc import Callable
from typing import Annotated

from torch import nn

from weft import Choice, Range


class MLP(nn.Sequential):
    """Fully connected layers with an activation between each two of them.

    Inputs of shape (batch, *inputs) are flattened; outputs are (batch, outputs). `depth` hidden layers of `width` units.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        width: Annotated[int, Range(1, 65536, log=True), "units of a hidden layer"] = 128,
        depth: Annotated[int, Range(1, 64), "hidden layers"] = 1,
        activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "relu",  # type: ignore[assignment]
    ):
        layers: list[nn.Module] = [nn.Flatten()]
        size = math.prod(inputs)
        for _ in range(depth):
            layers += [nn.Linear(size, width), activation()]
            size = width
        super().__init__(*layers, nn.Linear(size, outputs))
