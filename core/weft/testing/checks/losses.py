"""What is asked of losses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from weft.testing.checks.every import compiled, gradchecked, together
from weft.testing.outcome import Failure, Skip
from weft.testing.reference import Reference
from weft.testing.subject import Subject

_SAMPLES = 8


def _given(subject: Subject, precision: str = "fp64", scale: float = 1.0) -> tuple[Any, Any, Tensor]:
    """Return the loss, outputs of a model that gradients are asked of, and their targets. `scale` makes the weights of the
    reference model's last layer that many times as large, or else the outputs."""
    run = subject.run(precision=precision)
    inputs, targets = run.data.splits["train"]
    last = [*run.model.output.parameters()] if isinstance(run.model, Reference) else []
    with torch.no_grad():
        for parameter in last:
            parameter.mul_(scale)
        outputs = run.forward(inputs[:_SAMPLES])
        outputs = tree_map(lambda one: one.detach() * (1 if last else scale), outputs)
    return run.loss, tree_map(lambda one: one.requires_grad_(), outputs), targets[:_SAMPLES]


def scalar(subject: Subject) -> None:
    """It is one finite number, and draws nothing at random."""
    for name in subject.data:
        run = subject.run(name)
        inputs, targets = run.data.splits["train"]
        before = torch.get_rng_state()
        value = run.loss(run.forward(inputs), targets).detach()
        if value.shape != () or not value.is_floating_point():
            raise Failure(f"on {name}: it returned {value.dtype} of shape {list(value.shape)} instead of a scalar")
        if not math.isfinite(float(value)):
            raise Failure(f"on {name}: it is {float(value)} for outputs of some ordinary model")
        if not torch.equal(before, torch.get_rng_state()):
            raise Failure("it draws random numbers: the same outputs would have another loss the next time")


def gradients(subject: Subject) -> None:
    """Its gradients, in float64, are those of what it computes."""
    loss, outputs, targets = _given(subject)
    leaves, form = tree_flatten(outputs)
    gradchecked(lambda *outputs: loss(tree_unflatten(outputs, form), targets), *leaves)


def mean(subject: Subject) -> None:
    """A batch's loss is the mean of its pieces', by what each counts for: so gradients can be accumulated."""
    run = subject.run(precision="fp64")
    if getattr(run.loss, "compares_samples", False):
        raise Skip("it says that it compares the samples of a batch")
    inputs, targets = (half[:_SAMPLES] for half in run.data.splits["train"])
    outputs = tree_map(Tensor.detach, run.forward(inputs))
    whole = float(run.loss(outputs, targets).detach())
    parts = [slice(0, 3), slice(3, _SAMPLES)]
    counts = [run.batch_weight(targets[part]) for part in parts]
    found = sum(
        count * float(run.loss(tree_map(lambda one: one[part], outputs), targets[part]).detach())  # noqa: B023
        for count, part in zip(counts, parts, strict=True)
    )
    if not math.isclose(whole, found / sum(counts), rel_tol=1e-6, abs_tol=1e-9):
        raise Failure(
            f"a batch's loss is {whole:.6g}, and {found / sum(counts):.6g} as the mean of its pieces: return a mean over "
            "samples, say what a batch counts for in batch_weight(targets), or say compares_samples = True"
        )


def extremes(subject: Subject) -> None:
    """It and its gradients stay finite for outputs that are a thousand times too large."""
    loss, large, targets = _given(subject, "fp32", scale=1000.0)
    value = loss(large, targets)
    gradients = torch.autograd.grad(value, tree_leaves(large), allow_unused=True)
    finite = all(gradient.isfinite().all() for gradient in gradients if gradient is not None)
    if not math.isfinite(float(value.detach())) or not finite:
        state = "finite" if finite else "not finite"
        raise Failure(f"for large outputs it is {float(value.detach())}, its gradient {state}")


def vmap(subject: Subject) -> None:
    """Losses of several models' outputs are had at once under torch.func.vmap."""
    loss, outputs, targets = _given(subject)
    lanes = tree_map(Tensor.detach, outputs), tree_map(lambda one: one.detach().roll(1, 0), outputs)
    expected = torch.stack([loss(one, targets) for one in lanes])
    together(lambda outputs: loss(outputs, targets), expected, tree_map(lambda *parts: torch.stack(parts), *lanes))


def compiles(subject: Subject) -> None:
    """torch.compile takes it whole, and it is the same."""
    loss, outputs, targets = _given(subject, "fp32")
    compiled(lambda outputs: loss(outputs, targets), tree_map(Tensor.detach, outputs))


CHECKS: list[Callable[[Subject], None]] = [scalar, gradients, mean, extremes]
CAPABILITIES: list[Callable[[Subject], None]] = [vmap, compiles]
