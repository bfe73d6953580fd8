"""A computation of TensorFlow's as functions of everything that it depends on: inputs, weights and a seed.

A module of TensorFlow's owns its variables, and torch's optimizers know nothing of them. So each call first assigns the weights
that it is given, inside the graph, where that costs no copy; between calls the variables mean nothing. What has been traced for
a kind of arguments runs without Python from then on.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from weft_tensorflow.memory import to_tensorflow, to_torch
from weft_tensorflow.splitting import Halves, called, split
from weft_tensorflow.starting import tensorflow

Compute = Callable[..., Any]
"""`compute(variables, inputs, **named)`: what is computed with these variables, by name."""

Needed = tuple[bool, ...]
"""Whether a gradient is needed: of the inputs, then of each parameter."""

Gradients = tuple[Tensor | None, ...]
"""Of the inputs, then of each parameter; None where it isn't needed, or the outputs don't depend on it."""

_ASKED = ("training", "seed")

_UNSEEDED = frozenset(
    {
        "Multinomial",
        "ParameterizedTruncatedNormal",
        "RandomGamma",
        "RandomPoisson",
        "RandomPoissonV2",
        "RandomShuffle",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "TruncatedNormal",
    }
)
"""Operations that draw from a generator inside TensorFlow, which no checkpoint holds."""


def asked(function: Callable[..., Any]) -> frozenset[str]:
    """Return which of `training` and `seed` a function has parameters for."""
    return frozenset(_ASKED) & inspect.signature(function).parameters.keys()


@dataclass(frozen=True, eq=False)
class Arguments:
    """What a computation depends on.

    Args:
        training: what the computation is told.
        inputs: (N, …).
        seed: two whole numbers, where it takes them.
        weights: the values of the parameters, then those of the buffers.
    """

    training: bool
    inputs: Tensor
    seed: Tensor | None
    weights: Sequence[Tensor]

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among them."""
        return [self.inputs, *self.weights] if self.seed is None else [self.inputs, self.seed, *self.weights]

    @property
    def kind(self) -> tuple[Any, ...]:
        """What a graph is traced for: all but the size of the batch and the numbers."""
        return self.training, self.inputs.dtype, self.inputs.shape[1:], *[weight.dtype for weight in self.weights]


@dataclass(frozen=True)
class Graph:
    """A concrete function of TensorFlow's, how it is called, and which of its results there are: the others are None."""

    concrete: Any
    function: Callable[..., Sequence[Any]]
    there: Sequence[bool]

    def results(self, tensors: Sequence[Any], device: torch.device) -> tuple[Tensor | None, ...]:
        """Return what the function has returned as torch's tensors, each in its place."""
        found = iter(tensors)
        return tuple(to_torch(next(found), device) if is_there else None for is_there in self.there)


@dataclass(frozen=True)
class Kept:
    """What `forward` leaves for `backward`."""

    graph: Graph
    tensors: Sequence[Any]
    weights: Sequence[Any]


class Program:
    """What `compute` does, as functions of torch's tensors.

    Args:
        compute: see `Compute`.
        variables: by name; those that are trainable have gradients, the others are state that training may change.
        named: which of `training` and `seed` it is called with.
    """

    def __init__(self, compute: Compute, variables: Mapping[str, Any], named: frozenset[str]):
        self._compute = compute
        self._named = named
        self._own = dict(variables)
        self._variables = {(name, variable.dtype): variable for name, variable in variables.items()}
        self._graphs: dict[Any, Graph] = {}
        self._halves: dict[Any, tuple[Halves, Graph] | None] = {}
        self._lock = threading.RLock()  # the variables, and the module while it is traced, are one call's at a time
        self.parameters = tuple(name for name, variable in variables.items() if variable.trainable)
        self.buffers = tuple(name for name, variable in variables.items() if not variable.trainable)

    @property
    def draws(self) -> bool:
        """Whether it takes a seed."""
        return "seed" in self._named

    @property
    def values(self) -> dict[str, Any]:
        """What the variables hold, which after the first call is anything."""
        return {name: variable.value() for name, variable in self._own.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The variables' shapes."""
        return {name: tuple(variable.shape) for name, variable in self._own.items()}

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        return self  # a model's copy has weights of its own, and this has none

    def run(self, arguments: Arguments) -> tuple[Tensor, ...]:
        """Return the outputs, then in training the new values of the buffers.

        Raises:
            ValueError: it returns no tensor, draws random numbers without the seed, or has variables beside its own.
        """
        return cast("tuple[Tensor, ...]", self._results(self._run, arguments, ()))

    def forward(self, arguments: Arguments, needed: Needed) -> tuple[tuple[Tensor, ...], Kept | None]:
        """Return what `run` does, and what `backward` takes; or None, where the gradients are `differentiate`'s alone."""
        given = _given(arguments)
        key = (needed, arguments.kind)
        with self._lock:
            if key not in self._halves:
                self._halves[key] = self._split(arguments, needed, given)
            found = self._halves[key]
        if found is None:
            return self.run(arguments), None
        halves, behind = found
        tensors = self._called(halves.forward, given)
        results = tuple(to_torch(tensor, arguments.inputs.device) for tensor in tensors[: halves.results])
        weights = given[len(given) - len(arguments.weights) :] if halves.rereads else ()
        return results, Kept(behind, tensors[halves.results :], weights)

    def backward(self, kept: Kept, gradient: Tensor) -> Gradients:
        """Return the gradients, from that of the outputs and what `forward` kept."""
        found = self._called(kept.graph.function, [to_tensorflow(gradient), *kept.tensors], kept.weights)
        return kept.graph.results(found, gradient.device)

    def differentiate(self, arguments: Arguments, needed: Needed, gradient: Tensor) -> Gradients:
        """Return the gradients, from that of the outputs, which are computed again."""
        return self._results(self._differentiate, arguments, needed, gradient)

    def differentiate_twice(
        self, arguments: Arguments, needed: Needed, gradient: Tensor, directions: Sequence[Tensor]
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of what `differentiate` returns: of its `gradient`, then as it does.

        `directions` are the gradients of those that it returned.
        """
        return self._results(self._differentiate_twice, arguments, needed, gradient, *directions)

    def _results(
        self, function: Callable[..., Any], arguments: Arguments, needed: Needed, *more: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return what one of the functions below does, by its graph."""
        given = _given(arguments, *more)
        key = (function.__name__, needed, arguments.kind)
        with self._lock:
            if key not in self._graphs:
                self._graphs[key] = self._trace(function, arguments, needed, given)
            graph = self._graphs[key]
        return graph.results(self._called(graph.function, given), arguments.inputs.device)

    def _called(self, function: Any, given: Sequence[Any], weights: Sequence[Any] = ()) -> Sequence[Any]:
        """Call a function, by itself; with weights to be in the variables, where it doesn't assign them."""
        with self._lock:
            if weights:
                self._assigned(weights)
            found: Sequence[Any] = function(*given)
        return found

    def _split(self, arguments: Arguments, needed: Needed, given: Sequence[Any]) -> tuple[Halves, Graph] | None:
        """Return the two parts, and the second as a graph; or None where that needs state that the first has changed."""
        whole = self._trace(self._whole, arguments, needed, given)
        results = 1 + (len(self.buffers) if arguments.training else 0)
        halves = split(whole.concrete, results)
        if halves.rereads and results > 1:
            return None
        return halves, Graph(whole.concrete, halves.backward, whole.there[results + 1 :])

    def _trace(self, function: Callable[..., Any], arguments: Arguments, needed: Needed, given: Sequence[Any]) -> Graph:
        """Return the graph of a function for arguments of a kind, and batches of any size."""
        tf = tensorflow()
        there: list[bool] = []
        weights = slice(len(arguments.tensors) - len(arguments.weights), len(arguments.tensors))

        def traced(*symbols: Any) -> list[Any]:
            seed = None if arguments.seed is None else symbols[1]
            variables = self._assigned(symbols[weights])
            found = function(arguments.training, needed, variables, symbols[0], seed, *symbols[weights.stop :])
            there[:] = [one is not None for one in found]
            return [tf.convert_to_tensor(one) for one in found if one is not None]

        def shape(index: int, tensor: Any) -> Any:
            is_batch = tensor.shape.rank and (index == 0 or index >= weights.stop)
            return [None, *tensor.shape[1:]] if is_batch else tensor.shape

        specifications = [tf.TensorSpec(shape(index, tensor), tensor.dtype) for index, tensor in enumerate(given)]
        concrete = tf.function(traced, autograph=False).get_concrete_function(*specifications)
        self._check(concrete)
        return Graph(concrete, called(concrete), there)

    def _assigned(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return variables that hold these values: the computation's own, or others in their place of the values' type."""
        tf = tensorflow()
        found = {}
        for name, value in zip((*self.parameters, *self.buffers), values, strict=True):
            if (name, value.dtype) not in self._variables:
                with tf.init_scope():
                    zeros = tf.zeros(value.shape, value.dtype)
                    self._variables[name, value.dtype] = tf.Variable(zeros, trainable=name in self.parameters)
            found[name] = self._variables[name, value.dtype]
            found[name].assign(value)
        return found

    def _outputs(self, training: bool, variables: Mapping[str, Any], inputs: Any, seed: Any) -> Any:
        tf = tensorflow()
        told = {"training": training, "seed": seed}
        outputs = self._compute(variables, inputs, **{name: told[name] for name in self._named})
        if not tf.is_tensor(outputs):
            raise ValueError(f"a model returns one tensor, (N, …), and this returns {type(outputs).__name__}")
        return tf.convert_to_tensor(outputs)

    def _run(self, training: bool, needed: Needed, variables: Mapping[str, Any], inputs: Any, seed: Any) -> list[Any]:
        outputs = self._outputs(training, variables, inputs, seed)
        return [outputs, *self._state(training, variables)]

    def _state(self, training: bool, variables: Mapping[str, Any]) -> list[Any]:
        return [variables[name].read_value() for name in self.buffers if training]

    def _whole(self, training: bool, needed: Needed, variables: Mapping[str, Any], inputs: Any, seed: Any) -> list[Any]:
        """Return what `run` does, a placeholder for the gradient, and what `differentiate` does: to be cut, not called."""
        tf = tensorflow()
        sources = self._sources(needed, variables, inputs)
        with _watching(sources) as tape:
            outputs = self._outputs(training, variables, inputs, seed)
        state = self._state(training, variables)
        gradient = tf.compat.v1.placeholder(outputs.dtype, outputs.shape)
        return [outputs, *state, gradient, *_spread(tape.gradient(outputs, sources, output_gradients=gradient), needed)]

    def _differentiate(
        self, training: bool, needed: Needed, variables: Mapping[str, Any], inputs: Any, seed: Any, gradient: Any
    ) -> list[Any]:
        sources = self._sources(needed, variables, inputs)
        with _watching(sources) as tape:
            outputs = self._outputs(training, variables, inputs, seed)
        return _spread(tape.gradient(outputs, sources, output_gradients=gradient), needed)

    def _differentiate_twice(
        self,
        training: bool,
        needed: Needed,
        variables: Mapping[str, Any],
        inputs: Any,
        seed: Any,
        gradient: Any,
        *directions: Any,
    ) -> list[Any]:
        sources = [gradient, *self._sources(needed, variables, inputs)]
        with _watching(sources) as tape:
            once = self._differentiate(training, needed, variables, inputs, seed, gradient)
        there = [one for one in once if one is not None]
        return _spread(tape.gradient(there, sources, output_gradients=list(directions)), (True, *needed))

    def _sources(self, needed: Needed, variables: Mapping[str, Any], inputs: Any) -> list[Any]:
        """Return what is differentiated by."""
        everything = [inputs, *(variables[name] for name in self.parameters)]
        return [source for source, is_needed in zip(everything, needed, strict=True) if is_needed]

    def _check(self, concrete: Any) -> None:
        """Raise ValueError for a graph that isn't a function of what it is given."""
        graph = concrete.graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        if drawn := sorted({node.op for node in nodes} & _UNSEEDED):
            raise ValueError(
                f"it draws random numbers ({', '.join(drawn)}) that weft can't seed, nor go on with from a checkpoint: take a "
                "parameter `seed`, and draw with tf.random.stateless_uniform or tf.nn.experimental.stateless_dropout"
            )
        own = {variable.ref() for variable in self._variables.values()}
        if strange := [variable.name for variable in concrete.variables if variable.ref() not in own]:
            raise ValueError(
                f"it uses variables that aren't its module's, or that it holds where they aren't found: {', '.join(strange)}; "
                "keep each in an attribute of a tf.Module, or in a list, tuple or dict there"
            )


def _given(arguments: Arguments, *more: Tensor) -> list[Any]:
    return [to_tensorflow(tensor) for tensor in (*arguments.tensors, *more)]


@contextlib.contextmanager
def _watching(sources: Sequence[Any]) -> Iterator[Any]:
    """Give a tape that watches these alone."""
    with tensorflow().GradientTape(watch_accessed_variables=False) as tape:
        for source in sources:
            tape.watch(source)
        yield tape


def _spread(found: Sequence[Any], needed: Sequence[bool]) -> list[Any]:
    """Return gradients in the places where they are needed."""
    one = iter(found)
    return [next(one) if is_needed else None for is_needed in needed]
