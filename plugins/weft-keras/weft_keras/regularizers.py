"""What Keras layers say of their weights themselves, in weft's loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from weft_keras.model import KerasModel


class Own:
    """What a model's Keras layers have of their own: losses, such as kernel_regularizer, and constraints of their weights.

    Keras's fit adds the losses and applies the constraints after each step by itself; in weft's loop this does. Losses of what
    comes out of a layer are those of the last batch, or of its last piece with `accumulate`.

    Raises:
        ValueError: a model with neither: it would silently do nothing.
    """

    beside: ClassVar[dict[str, Any]] = {
        "model": {
            "name": "keras_layers",
            "layers": [
                {"dense": {"units": 8, "activation": "tanh", "kernel_regularizer": {"l2": 0.01}, "bias_constraint": "non_neg"}}
            ],
        }
    }

    def __init__(self, model: nn.Module):
        if not any(inner.losses or inner.constrained for inner in _keras_models(model)):
            raise ValueError(
                "keras_own adds the losses and applies the constraints that Keras layers have of their own, and "
                f"{type(model).__name__} has none: give a layer a kernel_regularizer, a kernel_constraint or its like, or "
                "leave keras_own out"
            )

    def penalty(self, model: nn.Module, outputs: Tensor) -> Tensor:
        """Return the sum of the losses, a scalar."""
        losses = [loss for inner in _keras_models(model) for loss in inner.losses]
        return torch.stack(losses).sum() if losses else outputs.new_zeros(())

    def weights(self, model: nn.Module) -> None:
        """Bring the weights back to where their constraints have them."""
        for inner in _keras_models(model):
            inner.constrain()


def _keras_models(model: nn.Module) -> Iterator[KerasModel]:
    """Yield the Keras models in a model. What is inside of one is that one's."""
    from weft_keras.model import KerasModel

    if isinstance(model, KerasModel):
        yield model
    else:
        for child in model.children():
            yield from _keras_models(child)
