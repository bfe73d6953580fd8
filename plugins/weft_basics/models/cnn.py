"""The convolutional network."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Literal

from torch import Tensor, nn

from weft import Choice, Range

Odd = Literal[1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31]
_POOLING = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class CNN(nn.Module):
    """Convolutions that keep the size, each followed by an activation and a pooling that halves it, then a linear layer.

    (N, channels, height, width) -> (N, outputs). After LeCun et al., "Gradient-based learning applied to document
    recognition", 1998.

    Raises:
        ValueError: samples that aren't images, or too small for the poolings.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        channels: Annotated[list[int], Range(1, 4096), "of each convolution"] = [16, 32],  # noqa: B006 - never changed
        kernel: Annotated[Odd, "side of a convolution's window: an even one can't keep the image's size"] = 3,
        pooling: Literal["max", "average"] = "max",
        activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "relu",  # type: ignore[assignment]
    ):
        super().__init__()
        if vocabulary is not None or len(inputs) != 3:
            raise ValueError(f"cnn takes images of shape [channels, height, width], not samples of shape {list(inputs)}")
        if not channels:
            raise ValueError("channels=[] leaves no convolution: give one number for each, such as [16, 32]")
        height, width = (side >> len(channels) for side in inputs[1:])
        if not (height and width):
            raise ValueError(
                f"{len(channels)} poolings halve the image [{inputs[1]}, {inputs[2]}] to nothing: give fewer channels"
            )
        depths = [inputs[0], *channels]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(*pair, kernel_size=kernel, padding=kernel // 2) for pair in pairwise(depths)
        )
        self.activations = nn.ModuleList(activation() for _ in channels)
        self.pooling = _POOLING[pooling](2)
        self.output = nn.Linear(channels[-1] * height * width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        maps = inputs
        for convolution, activation in zip(self.convolutions, self.activations, strict=True):
            maps = self.pooling(activation(convolution(maps)))
        outputs: Tensor = self.output(maps.flatten(1))
        return outputs
