"""What is asked of metrics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from weft.testing.outcome import Failure
from weft.testing.subject import Subject, train


def _given(subject: Subject, data: str) -> tuple[Any, Tensor, Tensor]:
    run = subject.run(data)
    train(run, 5)
    inputs, targets = run.data.splits["valid"]
    with torch.no_grad():
        return run.metrics[subject.component.name], run.forward(inputs), targets


def _value(metric: Any, *batches: tuple[Tensor, Tensor]) -> float:
    metric.reset()
    for outputs, targets in batches:
        metric.update(outputs, targets)
    return float(metric.compute())


def measures(subject: Subject) -> None:
    """It is one finite number for ordinary outputs, and leaves them as they are."""
    for name in subject.data:
        metric, outputs, targets = _given(subject, name)
        kept = outputs.clone()
        found = _value(metric, (outputs, targets))
        if not math.isfinite(found):
            raise Failure(f"on {name} it is {found}")
        if not torch.equal(kept, outputs):
            raise Failure("it changes the outputs in their place")


def pieces(subject: Subject) -> None:
    """Batches one after the other give what all samples at once give."""
    for name in subject.data:
        metric, outputs, targets = _given(subject, name)
        whole = _value(metric, (outputs, targets))
        found = _value(metric, (outputs[:7], targets[:7]), (outputs[7:], targets[7:]))
        if not math.isclose(whole, found, rel_tol=1e-4, abs_tol=1e-6):
            raise Failure(f"on {name} it is {whole:.6g} for all samples, and {found:.6g} in two batches")


def resets(subject: Subject) -> None:
    """After reset() nothing is left of what was before."""
    metric, outputs, targets = _given(subject, subject.data[0])
    fresh = _value(metric, (outputs[:12], targets[:12]))
    _value(metric, (outputs[12:], targets[12:]))
    if (again := _value(metric, (outputs[:12], targets[:12]))) != fresh:
        raise Failure(f"it is {fresh:.6g} when new, and {again:.6g} after others and reset()")


def directed(subject: Subject) -> None:
    """higher_is_better is True, False, or None where neither is."""
    metric, _, _ = _given(subject, subject.data[0])
    said = getattr(metric, "higher_is_better", None)
    if said not in (True, False, None):
        raise Failure(f"higher_is_better is {said!r}")


CHECKS: list[Callable[[Subject], None]] = [measures, pieces, resets, directed]
CAPABILITIES: list[Callable[[Subject], None]] = []
