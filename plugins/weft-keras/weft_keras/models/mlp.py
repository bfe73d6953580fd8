"""The multilayer perceptron."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from torch import nn

from weft import Choice, Range
from weft_keras.backend import settings_of_a_model
from weft_keras.initialisation import Initializer, begin_as_torch, of_keras, seeded_by_torch

if TYPE_CHECKING:
    from weft_keras.model import KerasModel


def mlp(
    inputs: tuple[int, ...],
    outputs: int,
    vocabulary: int | None = None,
    width: Annotated[int, Range(1, 16384, log=True), "units in a hidden layer"] = 128,
    depth: Annotated[int, Range(1, 32), "number of hidden layers"] = 1,
    activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "relu",  # type: ignore[assignment]
    output_activation: Annotated[Callable[[], nn.Module], Choice("activation"), "after the last layer"] = "identity",  # type: ignore[assignment]
    initializer: Annotated[Initializer, "how weights begin; torch: as those of mlp do, number for number"] = "torch",
) -> KerasModel:
    """Hidden Dense layers of equal width on the flattened sample, each followed by an activation, then a Dense layer.

    (N, *inputs) -> (N, outputs). It is weft's mlp in Keras's layers: from the same seed, with the initializer torch, it begins
    with the same weights and goes the same way, up to rounding.

    Raises:
        ValueError: the samples are tokens.
    """
    if vocabulary is not None:
        raise ValueError("keras_mlp takes numbers, and this dataset's samples are tokens; keras_rnn takes them")
    drawing = contextlib.nullcontext() if initializer == "torch" else seeded_by_torch()
    with settings_of_a_model() as keras, drawing:
        from weft_keras.activated import Activated
        from weft_keras.model import KerasModel

        layers, kernels = keras.layers, of_keras(initializer)
        entering = keras.Input(inputs)
        units = layers.Flatten(data_format="channels_last")(entering)  # which leaves the numbers in their order
        for number in range(depth):
            units = layers.Dense(width, kernel_initializer=kernels, name=f"hidden_{number}")(units)
            units = Activated(activation(), name=f"activation_{number}")(units)
        scores = layers.Dense(outputs, kernel_initializer=kernels, name="output")(units)
        scores = Activated(output_activation(), name="output_activation")(scores)
        net = keras.Model(entering, scores, name="keras_mlp")
        for layer in net.layers:
            if initializer == "torch" and isinstance(layer, layers.Dense):
                begin_as_torch(layer)
        return KerasModel(net)
