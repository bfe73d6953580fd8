"""Keras for weft: its layers and models on torch, its losses, activations and initialisers.

Importing this imports neither Keras nor torch: everything is registered by its path. For a model of one's own there are two
things here, `from weft_keras import KerasModel, keras`: what makes a torch module of a Keras model, and Keras, on torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weft import Register, hookimpl
from weft_keras import activations, losses, models

if TYPE_CHECKING:
    from weft_keras.model import KerasModel as KerasModel

__all__ = ["KerasModel", "keras"]


def __getattr__(name: str) -> Any:
    if name == "KerasModel":
        from weft_keras.model import KerasModel

        return KerasModel
    if name == "keras":
        from weft_keras.backend import keras_on_torch

        return keras_on_torch()
    raise AttributeError(f"module 'weft_keras' has no attribute {name!r}")


@hookimpl
def register_models(register: Register) -> None:
    models.register_all(register)


@hookimpl
def register_losses(register: Register) -> None:
    losses.register_all(register)


@hookimpl
def register_regularizers(register: Register) -> None:
    register("weft_keras.regularizers:Own", "keras_own")


@hookimpl
def register_activations(register: Register) -> None:
    activations.register_all(register)
