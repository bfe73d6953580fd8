"""A program of TensorFlow's in torch's graph: what is computed there, and its gradients, once and twice."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from weft_tensorflow.program import Arguments, Gradients, Kept, Needed, Program


@dataclass
class Call:
    """One call of a program, with what its forward pass keeps for its backward pass."""

    program: Program
    training: bool
    needed: Needed
    kept: Kept | None = None

    def arguments(self, inputs: Tensor, seed: Tensor | None, *weights: Tensor) -> Arguments:
        """Return what the program is given."""
        return Arguments(self.training, inputs, seed, weights)

    def forward(self, *tensors: Any) -> tuple[Tensor, ...]:
        """Return the outputs, then in training the new values of the buffers."""
        arguments = self.arguments(*tensors)
        if not (self.training and any(self.needed)):
            return self.program.run(arguments)
        results, self.kept = self.program.forward(arguments, self.needed)
        return results

    def backward(self, needed: Needed, gradient: Tensor, *tensors: Any) -> Gradients:
        """Return the gradients: from what was kept, the first time, else from the start."""
        kept, self.kept = self.kept, None  # so that it is gone as soon as what torch keeps is
        if kept is not None and needed == self.needed:
            return self.program.backward(kept, gradient)
        return self.differentiate(needed, gradient, *tensors)

    def differentiate(self, needed: Needed, gradient: Tensor, *tensors: Any) -> Gradients:
        """Return the gradients, from the start."""
        return self.program.differentiate(self.arguments(*tensors), needed, gradient)


def _signed(function: Any) -> Any:
    """Return a function that has its signature at hand: torch asks for it at each call, and would have it made anew."""
    function.__signature__ = inspect.signature(function)
    return function


class Computed(torch.autograd.Function):
    """`apply(call, inputs, seed, *weights)`: the outputs, then in training the new values of the buffers."""

    @staticmethod
    @_signed
    def forward(call: Call, *tensors: Any) -> tuple[Tensor, ...]:
        return call.forward(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.call, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        _, inputs, _, *weights = ctx.needs_input_grad
        parameters = len(ctx.call.program.parameters)
        needed = (inputs, *weights[:parameters])
        # Gradients of gradients, and transforms of torch.func, need a function of torch's.
        differentiate = partial(Differentiated.apply, ctx.call) if torch.is_grad_enabled() else ctx.call.backward
        found = differentiate(needed, gradients[0], *ctx.saved_tensors)
        return (None, found[0], None, *found[1:], *[None] * (len(weights) - parameters))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
        return _lane_by_lane(Computed, info, in_dims, arguments)


class Differentiated(torch.autograd.Function):
    """`apply(call, needed, gradient, inputs, seed, *weights)`: the gradients of inputs and parameters."""

    @staticmethod
    @_signed
    def forward(call: Call, needed: Needed, gradient: Tensor, *tensors: Any) -> Gradients:
        return call.differentiate(needed, gradient, *tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Gradients) -> None:
        ctx.call, ctx.needed, *tensors = inputs
        ctx.there = [one is not None for one in output]
        ctx.save_for_backward(*tensors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *directions: Tensor) -> tuple[Tensor | None, ...]:
        gradient, *tensors = ctx.saved_tensors
        there = [direction for direction, is_there in zip(directions, ctx.there, strict=True) if is_there]
        found = ctx.call.program.differentiate_twice(ctx.call.arguments(*tensors), ctx.needed, gradient, there)
        return (None, None, *found[:2], None, *found[2:], *[None] * len(ctx.call.program.buffers))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
        return _lane_by_lane(Differentiated, info, in_dims, arguments)


def _lane_by_lane(function: Any, info: Any, in_dims: tuple[Any, ...], arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    """Apply a function to each lane of torch.func.vmap by itself: TensorFlow's graphs know no lanes."""
    call, *rest = arguments
    lanes = [
        function.apply(
            Call(call.program, call.training, call.needed),
            *(
                argument.select(dimension, lane) if isinstance(dimension, int) else argument
                for argument, dimension in zip(rest, in_dims[1:], strict=True)
            ),
        )
        for lane in range(info.batch_size)
    ]
    results = tuple(None if column[0] is None else torch.stack(column) for column in zip(*lanes, strict=True))
    return results, tuple(None if result is None else 0 for result in results)
