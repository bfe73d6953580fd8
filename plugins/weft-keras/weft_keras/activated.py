"""A torch activation among Keras layers."""

from __future__ import annotations

from typing import Any

from weft_keras.backend import keras_on_torch

keras = keras_on_torch()


class Activated(keras.layers.TorchModuleWrapper):  # type: ignore[name-defined]
    """A torch module that keeps the shape of what enters, as a Keras layer. A KerasModel takes the module as it is."""

    def compute_output_spec(self, inputs: Any, **_: Any) -> Any:
        """Return the same shape and type. Keras would run the module on tensors without numbers to learn them."""
        return keras.KerasTensor(inputs.shape, inputs.dtype)
