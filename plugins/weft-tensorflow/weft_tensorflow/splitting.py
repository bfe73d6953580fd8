"""A graph of outputs and their gradients, cut in two: one part up to the outputs, and one from there on.

torch asks for outputs first, and for gradients when it knows the loss. A tape between two calls costs more Python than a small
model's arithmetic, and to compute the outputs again costs a third of a large one's. So both are traced as one graph, which is
then cut: the first part also returns what the second needs of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weft_tensorflow.starting import tensorflow


@dataclass(frozen=True)
class Halves:
    """A graph's two parts: `forward(*arguments)` returns so many `results`, then what `backward(gradient, *those)` needs.

    `rereads` says that the second part reads variables as well. Functions that the parts call are those of the `whole`, and
    TensorFlow forgets them with it.
    """

    whole: Any
    forward: Callable[..., Sequence[Any]]
    backward: Callable[..., Sequence[Any]]
    results: int
    rereads: bool


def split(whole: Any, results: int) -> Halves:
    """Cut a graph in two.

    Args:
        whole: a concrete function that returns so many `results`, then a placeholder that stands for the gradient of the first,
            then tensors that are computed from it.
        results: how many.
    """
    tf = tensorflow()
    graph = whole.graph
    arguments = graph.inputs[: len(graph.inputs) - len(graph.captures)]
    returned = [_itself(tensor) for tensor in graph.outputs]
    first, gradient, last = returned[:results], returned[results], returned[results + 1 :]
    before = _needed_by([tensor.op for tensor in first] + _effects_without(gradient.op, graph))
    behind = _needed_by([tensor.op for tensor in last], but_for=before)
    cut = _between(before, behind, last)
    definition = graph.as_graph_def()

    def captured(operations: Collection[Any]) -> dict[str, Any]:
        here = tf.compat.v1.get_default_graph()
        return {inside.name: here.capture(outside) for outside, inside in graph.captures if inside.op in operations}

    def forward(*given: Any) -> list[Any]:
        return _imported(definition, before, captured(before) | _by_name(arguments, given), [*first, *cut])

    def backward(*given: Any) -> list[Any]:
        return _imported(definition, behind, captured(behind) | _by_name([gradient, *cut], given), last)

    parts = _traced(forward, arguments), _traced(backward, [gradient, *cut])
    rereads = any(tensor.dtype == tf.resource for tensor in (*cut, *parts[1].captured_inputs))
    return Halves(whole, called(parts[0]), called(parts[1]), results, rereads)


def called(concrete: Any) -> Callable[..., Sequence[Any]]:
    """Return a concrete function as one of its tensors, without the look at their types and shapes that it begins with: what
    it is called with here it was traced for. That look takes longer than a small model's arithmetic."""
    function, captured = concrete.inference_fn, concrete.captured_inputs
    return lambda *tensors: function.call_flat(*tensors, *captured)


def _itself(tensor: Any) -> Any:
    """Return what a function returns, without the copies it makes so as to return nothing before all its effects are done."""
    while tensor.op.type == "Identity":
        (tensor,) = tensor.op.inputs
    return tensor


def _traced(function: Callable[..., Any], arguments: Iterable[Any]) -> Any:
    tf = tensorflow()
    specifications = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in arguments]
    return tf.function(function, autograph=False).get_concrete_function(*specifications)


def _by_name(tensors: Iterable[Any], values: Iterable[Any]) -> dict[str, Any]:
    return {tensor.name: value for tensor, value in zip(tensors, values, strict=True)}


def _needed_by(operations: Iterable[Any], but_for: Collection[Any] = ()) -> set[Any]:
    """Return operations with all that has to run before them, but for those that are done."""
    found: set[Any] = set()
    open_ends = [*operations]
    while open_ends:
        operation = open_ends.pop()
        if operation not in found and operation not in but_for:
            found.add(operation)
            open_ends += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
    return found


def _effects_without(source: Any, graph: Any) -> list[Any]:
    """Return the operations that run for what they do, such as checks and printing, and don't depend on a gradient."""
    return [operation for operation in graph.control_outputs if source not in _needed_by([operation])]


def _between(before: Collection[Any], behind: Collection[Any], last: Iterable[Any]) -> list[Any]:
    """Return the tensors of the first part that the second takes, or returns as they are."""
    taken = [*last, *(tensor for operation in behind for tensor in operation.inputs)]
    return [*{tensor.name: tensor for tensor in taken if tensor.op in before}.values()]


def _imported(definition: Any, operations: Collection[Any], values: Mapping[str, Any], results: Sequence[Any]) -> list[Any]:
    """Put a part of a graph into the one that is being traced; `values` are the tensors that it begins with, by name."""
    tf = tensorflow()
    names = {operation.name for operation in operations} - {name.partition(":")[0] for name in values}
    part = tf.compat.v1.GraphDef(versions=definition.versions, library=definition.library)
    for node in definition.node:
        if node.name in names:
            copy = part.node.add()
            copy.CopyFrom(node)
            copy.attr.pop("_class", None)  # "on the device of that other one", which may be in the other part
            copy.ClearField("input")
            copy.input.extend(name for name in node.input if not name.startswith("^") or name[1:] in names)
    used = {name if ":" in name else f"{name}:0" for node in part.node for name in node.input}
    begun = {name: value for name, value in values.items() if name in used}
    wanted = [tensor.name for tensor in results if tensor.name not in values]
    found = dict(zip(wanted, tf.graph_util.import_graph_def(part, begun, wanted), strict=True))
    return [values[tensor.name] if tensor.name in values else found[tensor.name] for tensor in results]
