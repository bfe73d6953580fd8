"""The convolutional network."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Literal

from torch import Tensor, nn

from weft import Choice, Range

_POOLING = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class CNN(nn.Module):
    """Convolutions that keep the size, each followed by an activation and a pooling that halves it, then a linear layer.

    (N, channels, height, width) -> (N, outputs). After LeCun et al., "Gradient-based learning applied to document
    recognition", 1998.

    Raises:
        ValueError: samples that aren't images, or too small for the poolings; an even kernel, which can't keep the size.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        channels: Annotated[list[int], Range(1, 4096), "of each convolution"] = [16, 32],  # noqa: B006 - never changed
        kernel: Annotated[int, Range(1, 31), "side of a convolution's window, odd"] = 3,
        pooling: Literal["max", "average"] = "max",
        activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "relu",  # type: ignore[assignment]
    ):
        super().__init__()
        if vocabulary is not None or len(inputs) != 3:
            raise ValueError(f"cnn takes images of shape [channels, height, width], not samples of shape {list(inputs)}")
        if not channels:
            raise ValueError("channels=[] leaves no convolution: give one number for each, such as [16, 32]")
        if kernel % 2 == 0:
            raise ValueError(f"kernel={kernel} is even and can't keep the image's size: take {kernel - 1} or {kernel + 1}")
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
