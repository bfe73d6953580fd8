"""What is asked of regularizers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from weft.state import Run
from weft.testing.checks.every import gradchecked, together
from weft.testing.outcome import Failure, Skip
from weft.testing.subject import Subject, train


def _that(subject: Subject, verb: str, **settings: Any) -> tuple[Run, Any]:
    """Return a run and the regularizer in it.

    Raises:
        Skip: it doesn't do this.
    """
    run = subject.run(**settings)
    part = run.regularizers.parts[subject.component.name]
    if not hasattr(part, verb):
        raise Skip(f"it has no {verb}")
    return run, part


class _Penalty(torch.nn.Module):
    """A regularizer's penalty as a function of the model's parameters."""

    def __init__(self, model: torch.nn.Module, part: Any, outputs: Any):
        super().__init__()
        self.model, self.part, self.outputs = model, part, outputs

    def forward(self) -> Any:
        return self.part.penalty(self.model, self.outputs)


def penalty(subject: Subject) -> None:
    """Its penalty is one finite number, and its gradients, in float64, are those of what it computes."""
    run, part = _that(subject, "penalty", precision="fp64")
    outputs = tree_map(Tensor.detach, run.forward(run.data.splits["train"][0][:4]))
    value = part.penalty(run.model, outputs)
    if not isinstance(value, Tensor) or value.shape != () or not math.isfinite(float(value.detach())):
        raise Failure(f"its penalty is {value!r} instead of a finite scalar")
    asked = _Penalty(run.model, part, outputs)
    names = [name for name, _ in asked.named_parameters()]

    def of(*parameters: Tensor) -> Any:
        return torch.func.functional_call(asked, dict(zip(names, parameters, strict=True)), ())

    gradchecked(of, *(parameter.detach().clone().requires_grad_() for parameter in asked.parameters()))


def batch(subject: Subject) -> None:
    """It changes copies of a batch's samples, and leaves as many targets as inputs."""
    run, part = _that(subject, "batch")
    inputs, targets = (half[:8].clone() for half in run.data.splits["train"])
    kept = inputs.clone(), targets.clone()
    found = part.batch(inputs, targets)
    if len(found[0]) != len(found[1]):
        raise Failure(f"it makes {len(found[0])} inputs and {len(found[1])} targets of a batch")
    if not (torch.equal(inputs, kept[0]) and torch.equal(targets, kept[1])):
        raise Failure("it changes the batch in its place")


def in_place(subject: Subject) -> None:
    """What it does to weights and gradients leaves them tensors of the same shape and type, and finite."""
    run = subject.run()
    part = run.regularizers.parts[subject.component.name]
    verbs = [verb for verb in ("gradients", "weights") if hasattr(part, verb)]
    if not verbs:
        raise Skip("it has neither gradients nor weights")
    before = {name: (one.shape, one.dtype, one.data_ptr()) for name, one in run.model.named_parameters()}
    train(run, 2)
    for name, one in run.model.named_parameters():
        if (one.shape, one.dtype, one.data_ptr()) != before[name]:
            raise Failure(f"{name} is another tensor afterwards: an optimizer goes on with the old one")
        if not one.isfinite().all() or (one.grad is not None and not one.grad.isfinite().all()):
            raise Failure(f"{name} or its gradient is not finite afterwards")


def vmap(subject: Subject) -> None:
    """Its penalty of several models is had at once under torch.func.vmap."""
    run, part = _that(subject, "penalty")
    outputs = tree_map(Tensor.detach, run.forward(run.data.splits["train"][0][:4]))
    asked = _Penalty(run.model, part, outputs)
    several = {name: torch.stack([one.detach(), 2 * one.detach()]) for name, one in asked.named_parameters()}

    def of(parameters: dict[str, Tensor]) -> Any:
        return torch.func.functional_call(asked, parameters, ())

    expected = torch.stack([of({name: one[lane] for name, one in several.items()}).detach() for lane in range(2)])
    together(of, expected, several)


CHECKS: list[Callable[[Subject], None]] = [penalty, batch, in_place]
CAPABILITIES: list[Callable[[Subject], None]] = [vmap]
