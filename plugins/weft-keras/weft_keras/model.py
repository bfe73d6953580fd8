"""A Keras model as a torch module."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from weft_keras.backend import computing, keras_on_torch, settings_of_a_model
from weft_keras.layer import KerasLayer, is_foreign
from weft_keras.names import free, layer_names, variable_names

keras = keras_on_torch()


class KerasModel(nn.Module):
    """A functional or sequential Keras model as a torch module, for weft's loop or anyone's.

    Its layers are modules by their names, and their variables parameters and buffers: `dense.kernel`,
    `batch_normalization_1.moving_mean`. Layers that were not named are numbered within the model, whatever else Keras has made
    in the process. A torch module that is in it as Keras's TorchModuleWrapper is just that module here. train() and eval() are
    Keras's `training`. `.to()`, `.double()` and their like bring Keras's dtype policies along. `copy.deepcopy` makes a model
    that shares nothing with this one.

    The Keras model is this module's from then on: its variables are this module's tensors.

    Raises:
        ValueError: a model that isn't built, or is no graph of layers; one that is quantized, or has several precisions.
    """

    def __init__(self, net: Any):
        super().__init__()
        _check(net)
        self._aside = (net,)  # in a tuple, where torch doesn't take it for a module inside this one
        self._names: dict[str, str] = {}
        layers = [layer for layer in net.layers if not isinstance(layer, keras.layers.InputLayer)]
        for layer, name in zip(layers, layer_names(layers), strict=True):
            self._names[layer.name] = free(name, self)
            self.add_module(self._names[layer.name], _module(layer))
        everything = net._flatten_layers()
        if any(map(_makes_masks, everything)):
            for module in self.modules():
                if isinstance(module, KerasLayer):
                    module.masked = True
        self._has_losses = any(layer.activity_regularizer or is_foreign(layer) for layer in everything)
        self._link()
        self._follow()

    @property
    def net(self) -> Any:
        """The Keras model."""
        return self._aside[0]

    @property
    def constrained(self) -> list[Any]:
        """The variables whose layers have a constraint for them."""
        return [variable for variable in self.net.trainable_variables if variable.constraint is not None]

    @torch.no_grad()
    def constrain(self) -> None:
        """Apply the constraints that the layers have for their variables, as Keras's optimizers do after a step."""
        for variable in self.constrained:
            with computing(variable.tensor.device, self._dtype):
                variable.tensor.copy_(variable.constraint(variable.tensor))

    @property
    def losses(self) -> list[Tensor]:
        """The losses that the layers have of their own: of their weights, and of what came out of them at the last call."""
        device = next((tensor.device for tensor in (*self.parameters(), *self.buffers())), torch.device("cpu"))
        with computing(device, self._dtype):
            return list(self.net.losses)

    def forward(self, *inputs: Any, **_: Any) -> Any:
        """Return what the model makes of its inputs; a list where it has several outputs.

        A model in another is called with `training` and `mask` as well: here the mode and the tensors say so.
        """
        with computing(inputs[0].device, self._dtype), self._one_call():
            tensors = dict(zip(self._entries, inputs, strict=True))
            for call, entering, named, leaving in self._steps:
                found = call(*_filled(entering, tensors), **(_filled(named, tensors) if named else {}))
                if len(leaving) == 1:
                    tensors[leaving[0]] = found
                else:
                    tensors.update(zip(leaving, keras.tree.flatten(found), strict=True))
            outputs = [tensors[key] for key in self._exits]
        return outputs[0] if len(outputs) == 1 else outputs

    @contextlib.contextmanager
    def _one_call(self) -> Iterator[None]:
        """Let Keras take what is inside for one call of the model: losses of earlier calls go, those of this one stay."""
        if not self._has_losses:
            yield
            return
        self.net._get_call_context()
        try:
            yield
        finally:
            self.net._maybe_reset_call_context()

    def _link(self) -> None:
        """Read the graph: what is called with what, in which order."""
        net = self.net._functional if isinstance(self.net, keras.Sequential) else self.net
        nodes = [node for depth in sorted(net._nodes_by_depth, reverse=True) for node in net._nodes_by_depth[depth]]
        self._steps = [
            (
                self._callee(node.operation),
                _template(node.arguments.args),
                _template(node.arguments.kwargs),
                [id(tensor) for tensor in node.outputs],
            )
            for node in nodes
            if not node.is_input
        ]
        self._entries = [id(tensor) for tensor in net.inputs]
        self._exits = [id(tensor) for tensor in net.outputs]

    def _callee(self, operation: Any) -> Any:
        return getattr(self, self._names[operation.name]) if isinstance(operation, keras.Layer) else operation

    def _apply(self, function: Any, recurse: bool = True) -> KerasModel:
        super()._apply(function, recurse)  # type: ignore[no-untyped-call]
        self._follow()
        return self

    def _follow(self) -> None:
        """Let Keras compute in the precision that the parameters have: its layers cast what enters them to their own."""
        dtypes = (tensor.dtype for tensor in (*self.parameters(), *self.buffers()) if tensor.is_floating_point())
        self._dtype = next(dtypes, torch.float32)
        name = _name(self._dtype)
        for layer in self.net._flatten_layers():
            if layer.dtype_policy.name != name and "float" in layer.compute_dtype:
                layer.dtype_policy = keras.DTypePolicy(name)
        for variable in self.net.variables:
            variable._dtype = _name(variable._value.dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> KerasModel:
        if id(self.net) not in memo:
            for layer, clone in _clones(self.net, memo):
                memo[id(layer)] = clone
        copied = self.__class__.__new__(self.__class__)
        memo[id(self)] = copied
        of_the_graph = ("_steps", "_entries", "_exits")
        kept = {name: value for name, value in self.__dict__.items() if name not in of_the_graph}
        copied.__dict__.update(copy.deepcopy(kept, memo))
        for module in copied.children():
            if isinstance(module, KerasLayer):
                module.adopt()
        copied._link()
        copied._follow()
        return copied


class _Slot(NamedTuple):
    """A place in a layer's arguments that a tensor is to be put in."""

    key: int


def _template(arguments: Any) -> Any:
    """Return a layer's arguments as the graph has them, with a slot for each symbolic tensor."""
    if isinstance(arguments, keras.KerasTensor):
        return _Slot(id(arguments))
    if isinstance(arguments, dict):
        return {name: _template(value) for name, value in arguments.items()}
    if type(arguments) in (list, tuple):
        return type(arguments)(_template(value) for value in arguments)
    return arguments


def _filled(template: Any, tensors: Mapping[int, Any]) -> Any:
    """Return the arguments with the tensors in their slots."""
    kind = type(template)
    if kind is _Slot:
        return tensors[template.key]
    if kind is tuple:
        return tuple([_filled(value, tensors) for value in template])
    if kind is list:
        return [_filled(value, tensors) for value in template]
    if kind is dict:
        return {name: _filled(value, tensors) for name, value in template.items()}
    return template


def _check(net: Any) -> None:
    if not _is_graph(net):
        raise ValueError(f"a functional or sequential Keras model is what this takes, not a {type(net).__name__}")
    if not net.built:
        raise ValueError(f"{net.name} has no weights yet: begin it with keras.Input(shape)")
    for layer in net._flatten_layers():
        policy = layer.dtype_policy
        if layer.quantization_mode is not None or policy.compute_dtype != policy.variable_dtype:
            raise ValueError(f"layer {layer.name} has the dtype policy {policy.name}: leave it to weft's `precision`")


_GRAPHS = (keras.Sequential, keras.src.models.functional.Functional)


def _is_graph(net: Any) -> bool:
    """Whether a model does what its graph says, and nothing of its own."""
    return isinstance(net, _GRAPHS) and type(net).call in (kind.call for kind in _GRAPHS)


def _module(layer: Any) -> nn.Module:
    if _is_graph(layer):
        return KerasModel(layer)
    if isinstance(layer, keras.layers.TorchModuleWrapper):
        module: nn.Module = layer.module
        return module
    return KerasLayer(layer, variable_names(layer))


def _makes_masks(layer: Any) -> bool:
    own = is_foreign(layer) and type(layer).compute_mask is not keras.Layer.compute_mask
    return own or isinstance(layer, keras.layers.Masking) or bool(getattr(layer, "mask_zero", False))


def _clones(net: Any, memo: dict[int, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the model and each layer in it with a new one that is made alike."""

    def clone(layer: Any) -> Any:
        if isinstance(layer, keras.layers.TorchModuleWrapper):
            known = {"name": layer.name, "output_shape": vars(layer).get("output_shape")}
            return type(layer)(copy.deepcopy(layer.module, memo), **known)
        return type(layer).from_config(layer.get_config())

    with settings_of_a_model(), _kept_randomness():
        made = keras.models.clone_model(net, clone_function=clone, recursive=True)
    yield from zip(net._flatten_layers(), made._flatten_layers(), strict=True)


@contextlib.contextmanager
def _kept_randomness() -> Iterator[None]:
    """Put Python's and torch's generators back at the end: a copy draws weights that nobody sees."""
    state = random.getstate()
    with torch.random.fork_rng(devices=[]):
        yield
    random.setstate(state)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
