"""The convolutional network."""

from collections.abc import Callable
from typing import Annotated

from torch import nn

from weft import Choice, Range


class CNN(nn.Sequential):
    """Convolutions, each with an activation and 2×2 max pooling, then one linear layer over what is left.

    Inputs are images of shape (batch, channels, height, width), outputs (batch, outputs). Pooling stops when a side would
    become smaller than two.

    Raises:
        ValueError: the inputs are no images, or the kernel is even.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        channels: Annotated[list[int], Range(1, 4096), "of each convolution"] = [16, 32],  # noqa: B006 - never changed
        kernel: Annotated[int, Range(1, 15), "side of the filters, an odd number"] = 3,
        activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "relu",  # type: ignore[assignment]
    ):
        if len(inputs) != 3:
            raise ValueError(f"takes images of shape [channels, height, width], not samples of shape {list(inputs)}")
        if kernel % 2 == 0:
            raise ValueError(f"kernel={kernel} is even: an odd one keeps the image's size")
        if not channels:
            raise ValueError("channels is empty: give one number for each convolution")
        before, height, width = inputs
        layers: list[nn.Module] = []
        for after in channels:
            layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2), activation()]
            if min(height, width) >= 4:
                layers.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            before = after
        super().__init__(*layers, nn.Flatten(), nn.Linear(before * height * width, outputs))
