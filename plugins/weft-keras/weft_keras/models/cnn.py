"""The convolutional network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from torch import nn

from weft import Choice, Range
from weft_basics.models.cnn import Odd
from weft_keras.backend import settings_of_a_model
from weft_keras.initialisation import Initializer, begin_as_torch, of_keras, seeded_by_torch

if TYPE_CHECKING:
    from weft_keras.model import KerasModel


def cnn(
    inputs: tuple[int, ...],
    outputs: int,
    vocabulary: int | None = None,
    channels: Annotated[list[int], Range(1, 4096), "of each convolution"] = [16, 32],  # noqa: B006 - never changed
    kernel: Annotated[Odd, "side of a convolution's window"] = 3,
    pooling: Literal["max", "average"] = "max",
    activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "relu",  # type: ignore[assignment]
    initializer: Annotated[Initializer, "how weights begin; torch: as those of cnn do, number for number"] = "torch",
) -> KerasModel:
    """Conv2D layers that keep the size, each followed by an activation and a pooling that halves it, then a Dense layer.

    (N, channels, height, width) -> (N, outputs). It is weft's cnn in Keras's layers: from the same seed, with the initializer
    torch, it begins with the same weights and goes the same way, up to rounding.

    Raises:
        ValueError: samples that aren't images, or too small for the poolings.
    """
    if vocabulary is not None or len(inputs) != 3:
        raise ValueError(f"keras_cnn takes images of shape [channels, height, width], not samples of shape {list(inputs)}")
    if not channels:
        raise ValueError("channels=[] leaves no convolution: give one number for each, such as [16, 32]")
    if not all(side >> len(channels) for side in inputs[1:]):
        raise ValueError(f"{len(channels)} poolings halve the image [{inputs[1]}, {inputs[2]}] to nothing: give fewer channels")
    drawing = contextlib.nullcontext() if initializer == "torch" else seeded_by_torch()
    with settings_of_a_model() as keras, drawing:
        from weft_keras.activated import Activated
        from weft_keras.model import KerasModel

        layers, kernels = keras.layers, of_keras(initializer)
        pool = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}[pooling]
        maps = entering = keras.Input(inputs)
        for number, depth in enumerate(channels):
            convolution = layers.Conv2D(depth, kernel, padding="same", kernel_initializer=kernels, name=f"convolution_{number}")
            maps = Activated(activation(), name=f"activation_{number}")(convolution(maps))
            maps = pool(2, name=f"pooling_{number}")(maps)
        flat = layers.Flatten(data_format="channels_last")(maps)  # which leaves the numbers in their order
        scores = layers.Dense(outputs, kernel_initializer=kernels, name="output")(flat)
        net = keras.Model(entering, scores, name="keras_cnn")
        for layer in net.layers:
            if initializer == "torch" and isinstance(layer, (layers.Conv2D, layers.Dense)):
                begin_as_torch(layer)
        return KerasModel(net)
