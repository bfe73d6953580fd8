"""A model of TensorFlow's as a module of torch's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from weft_tensorflow.differentiation import Call, Computed
from weft_tensorflow.memory import to_torch
from weft_tensorflow.program import Program, asked
from weft_tensorflow.starting import tensorflow
from weft_tensorflow.variables import replaced, variables_of

_CPU = torch.device("cpu")


class Weights(nn.Module):
    """The parameters and buffers that stand under one name: `hidden.0` has `kernel` and `bias`. It computes nothing."""


class TensorFlowModel(nn.Module):
    """A tf.Module, or a function, of TensorFlow's whose variables are parameters and buffers of torch's.

    Forward and backward are TensorFlow's, each traced once for a kind of inputs; everything around them is torch's: optimizers,
    regularizers and checkpoints see ordinary parameters, `hidden.0.kernel`, and the variables hold nothing between calls.
    Variables that aren't trainable are buffers, which training may change. Inputs, outputs and gradients share memory with
    torch's as far as is safe. TensorFlow computes on the CPU: on a GPU, tensors go there and back.

    `__call__` of the module, or the function, is called with the inputs (N, …), and returns one tensor (N, …). It asks for
    what else it needs by naming it: `training`, a bool, and `seed`, two whole numbers that are others at each step of
    training, for tf.random.stateless_uniform and its like. Other random numbers of TensorFlow's are refused, since no
    checkpoint holds their state.

    Args:
        make: a function without arguments that makes the tf.Module. It is called at once, with TensorFlow's generator seeded
            from torch's, so that initial weights follow from the run's seed. Or a tf.Module as it is. With `variables`: a
            function of `inputs` and `variables`.
        weights: initial values by name, drawn by torch: Parameters of what is trainable, tensors of the rest. TensorFlow then
            starts, and `make` is called, at the first forward.
        variables: makes `make` a function, and are its variables by name: of TensorFlow, or arrays, which are trainable.

    Raises:
        ValueError: there are no trainable variables, or names that can't be; at the first forward, what `Program.run` says,
            and `weights` that aren't the module's.
    """

    cannot: ClassVar[Mapping[str, str]] = {"compiles": "TensorFlow computes it, where torch's compiler can't look"}

    def __init__(
        self,
        make: Any,
        weights: Mapping[str, Tensor] | None = None,
        variables: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self._make: Callable[[], Program] = lambda: _of_function(make, variables) if variables is not None else _of_module(make)
        self._program: Program | None = None
        if weights is None:
            tensorflow().random.set_seed(int(torch.randint(2**31, (), device="cpu")))
            self._program = self._make()
            weights = _values(self._program)
        self._places = {name: (self._put(name, value), name.rpartition(".")[2]) for name, value in weights.items()}
        self._trainable = frozenset(name for name, value in weights.items() if isinstance(value, nn.Parameter))
        if not self._trainable:
            raise ValueError(
                "there are no trainable variables; where a module makes them at its first call, call it, on zeros, in `make`"
            )

    def forward(self, inputs: Tensor) -> Tensor:
        program = self._started()
        parameters = [self._weight(name) for name in program.parameters]
        buffers = [self._weight(name) for name in program.buffers]
        if torch.is_autocast_enabled(inputs.device.type) and inputs.is_floating_point():
            inputs = inputs.to(parameters[0].dtype)  # autocast knows nothing of TensorFlow's operations
        seed = None
        if program.draws:
            seed = torch.zeros(2, dtype=torch.int32, device="cpu")
            if self.training:
                seed.random_()
        # Gradients of gradients are computed from the state that there was before.
        before = [buffer.clone() for buffer in buffers] if self.training else buffers
        needed = tuple(torch.is_grad_enabled() and tensor.requires_grad for tensor in (inputs, *parameters))
        call = Call(program, self.training, needed)
        found: tuple[Tensor, ...] = Computed.apply(call, inputs, seed, *parameters, *before)  # type: ignore[no-untyped-call]
        outputs, *after = found
        with torch.no_grad():
            for buffer, value in zip(buffers, after, strict=self.training):
                buffer.copy_(value)
        return outputs

    def _weight(self, name: str) -> Tensor:
        owner, attribute = self._places[name]
        found: Tensor = getattr(owner, attribute)
        return found

    def _put(self, name: str, value: Tensor) -> nn.Module:
        """Register a tensor under its name; return the module that it is in."""
        *path, attribute = name.split(".")
        owner: nn.Module = self
        try:
            for part in path:
                if part not in owner._modules:
                    owner.add_module(part, Weights())
                owner = owner.get_submodule(part)
            if isinstance(value, nn.Parameter):
                owner.register_parameter(attribute, value)
            else:
                owner.register_buffer(attribute, value)
        except KeyError as error:
            raise ValueError(f"a variable can't have the name {name}: {error.args[0]}") from None
        return owner

    def _started(self) -> Program:
        """Return the program, made from what torch drew if it isn't there yet."""
        if self._program is None:
            program = self._make()
            own = {name: (tuple(self._weight(name).shape), name in self._trainable) for name in self._places}
            theirs = {name: (shape, name in program.parameters) for name, shape in program.shapes.items()}
            if own != theirs:
                differing = sorted(name for name in own | theirs if own.get(name) != theirs.get(name))
                raise ValueError(
                    f"the weights aren't those of the module: {', '.join(differing)} (shape and whether it is trainable: "
                    f"{[own.get(name) for name in differing]}, in the module {[theirs.get(name) for name in differing]})"
                )
            self._program = program
        return self._program


def _of_module(make: Any) -> Program:
    tf = tensorflow()
    module = make if isinstance(make, tf.Module) else make()
    if not isinstance(module, tf.Module) or not callable(module):
        raise ValueError(f"a model of TensorFlow's is a tf.Module that can be called, and this is {type(module).__name__}")
    variables = variables_of(module)
    call = module.__call__
    traced = call if hasattr(call, "get_concrete_function") else None

    def compute(given: Mapping[str, Any], inputs: Any, **named: Any) -> Any:
        others = {variables[name].ref(): other for name, other in given.items() if other is not variables[name]}
        with replaced(module, others):
            return (traced or tf.function(call))(inputs, **named)

    return Program(compute, variables, asked(call))


def _of_function(function: Callable[..., Any], variables: Mapping[str, Any]) -> Program:
    tf = tensorflow()
    made = {name: one if isinstance(one, tf.Variable) else tf.Variable(one) for name, one in variables.items()}

    def compute(given: Mapping[str, Any], inputs: Any, **named: Any) -> Any:
        return tf.function(function)(inputs, dict(given), **named)

    return Program(compute, made, asked(function))


def _values(program: Program) -> dict[str, Tensor]:
    """Return what a program's variables hold, as parameters and buffers."""
    values = {name: to_torch(value, _CPU) for name, value in program.values.items()}
    return {name: nn.Parameter(value) if name in program.parameters else value for name, value in values.items()}
