"""One Keras layer as a torch module, whose parameters and buffers are the layer's variables."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from weft_keras.backend import keras_on_torch
from weft_keras.in_torch import in_torch
from weft_keras.names import free

keras = keras_on_torch()


class Held(keras.Variable):  # type: ignore[name-defined]
    """A Keras variable whose value is a torch module's tensor of the moment.

    A module's tensors are replaced when it moves, when torch.func runs it with others, and when it is copied. A variable that
    kept a tensor of its own would go on with the old one.
    """

    @property
    def tensor(self) -> Tensor:
        """The tensor itself."""
        found: Tensor = self._tensors[self._key]
        return found

    _value = tensor  # Keras's name for it

    def hold(self, module: nn.Module, key: str) -> None:
        """Be `key` of a module from here on."""
        self.__dict__.pop("_value", None)
        self._tensors: dict[str, Any] = module._parameters if key in module._parameters else module._buffers
        self._key = key


class KerasLayer(nn.Module):
    """One Keras layer that is built, as a torch module.

    What can be trained are its parameters, all other variables its buffers: moving statistics, states of random generators.
    train() and eval() say what the layer's `training` is. A variable that another module holds already stays there.

    A layer is run in torch's own operations where `in_torch` has it; else by its `call`, where its `__call__` would add nothing
    to it; else as Keras runs it.

    Args:
        layer: the layer; its variables become this module's tensors.
        names: one for each of `layer.variables`.
    """

    masked = False
    """Whether Keras's masks go along with what enters, which only its own `__call__` hands on."""

    def __init__(self, layer: Any, names: Sequence[str]):
        super().__init__()
        self._aside = (layer,)  # in a tuple, where torch doesn't take the layer for a module inside this one
        self._held: list[tuple[int, str]] = []
        layer._modules.pop("_torch_params", None)  # Keras's own list of the same tensors
        for place, (variable, name) in enumerate(zip(layer.variables, names, strict=True)):
            if isinstance(variable, Held):
                continue
            key = free(name, self)
            if variable.trainable:
                self.register_parameter(key, variable.value)
            else:
                self.register_buffer(key, variable.value.detach())
            self._held.append((place, key))
        self.adopt()

    @property
    def layer(self) -> Any:
        """The Keras layer."""
        return self._aside[0]

    def adopt(self) -> None:
        """Let the layer's variables be this module's tensors."""
        layer = self.layer
        variables = layer.variables
        for place, key in self._held:
            variables[place].__class__ = Held
            variables[place].hold(self, key)
        as_it_is = is_foreign(layer) or bool(layer.activity_regularizer) or bool(layer._remat_mode)
        self._in_torch = None if as_it_is else in_torch(layer)
        self._by_its_call = not as_it_is and _adds_nothing(layer)
        self._names_in_torch = set(inspect.signature(self._in_torch).parameters) if self._in_torch is not None else set()
        self._takes_training = "training" in inspect.signature(layer.call).parameters

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return what the layer makes of its inputs."""
        if self.masked:
            return self.layer(*inputs, **{**named, "training": self.training})
        if self._in_torch is not None:
            given = (
                {name: value for name, value in named.items() if value is not None and name != "training"} if named else named
            )
            found = self._in_torch(self.training, *inputs, **given) if given.keys() <= self._names_in_torch else None
            if found is not None:
                return found
        if self._by_its_call:
            if self._takes_training:
                named["training"] = self.training
            return self.layer.call(*inputs, **named)
        return self.layer(*inputs, **{**named, "training": self.training})

    def extra_repr(self) -> str:
        return f"{type(self.layer).__name__} {self.layer.name}"


def is_foreign(layer: Any) -> bool:
    """Whether a layer is neither Keras's own nor this package's, so that nothing is known of what it does."""
    return not type(layer).__module__.startswith(("keras.src.", "weft_keras."))


def _adds_nothing(layer: Any) -> bool:
    """Whether a layer's `__call__` adds nothing to its `call`, once it is built: where there are layers inside, these look for
    `training` where it leaves it."""
    return type(layer).__call__ is keras.Layer.__call__ and not layer._flatten_layers(include_self=False)
