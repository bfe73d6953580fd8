"""What is asked of metrics."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.utils._pytree import tree_map

from weft.testing.checks.every import apart_by
from weft.testing.outcome import Failure
from weft.testing.subject import Subject, train


class _Given:
    """A metric in a run that has been trained a little, and what it can be given."""

    def __init__(self, subject: Subject, data: str):
        self.run = subject.run(data)
        train(self.run, 5)
        self.metric = self.run.metrics[subject.component.name]
        self.inputs, self.targets = self.run.data.splits["valid"]
        with torch.no_grad():
            self.outputs = self.run.forward(self.inputs)

    def value(self, *batches: slice) -> float:
        """Return the metric of these samples, one batch after the other."""
        self.metric.reset()
        for part in batches:
            outputs = tree_map(lambda one: one[part], self.outputs)  # noqa: B023 - called here
            self.run.measure(self.inputs[part], outputs, self.targets[part])
        return float(self.metric.compute())


_ALL = slice(None)


def measures(subject: Subject) -> None:
    """It is one finite number for ordinary outputs, and leaves them as they are."""
    for name in subject.data:
        given = _Given(subject, name)
        kept = tree_map(torch.clone, given.outputs)
        found = given.value(_ALL)
        if not math.isfinite(found):
            raise Failure(f"on {name} it is {found}")
        if apart_by(kept, given.outputs, rtol=0, atol=0):
            raise Failure("it changes the outputs in their place")


def pieces(subject: Subject) -> None:
    """Batches one after the other give what all samples at once give."""
    for name in subject.data:
        given = _Given(subject, name)
        whole, found = given.value(_ALL), given.value(slice(7), slice(7, None))
        if not math.isclose(whole, found, rel_tol=1e-4, abs_tol=1e-6):
            raise Failure(f"on {name} it is {whole:.6g} for all samples, and {found:.6g} in two batches")


def resets(subject: Subject) -> None:
    """After reset() nothing is left of what was before."""
    given = _Given(subject, subject.data[0])
    fresh = given.value(slice(12))
    given.value(slice(12, None))
    if (again := given.value(slice(12))) != fresh:
        raise Failure(f"it is {fresh:.6g} when new, and {again:.6g} after others and reset()")


def directed(subject: Subject) -> None:
    """higher_is_better is True, False, or None where neither is."""
    said = getattr(_Given(subject, subject.data[0]).metric, "higher_is_better", None)
    if said not in (True, False, None):
        raise Failure(f"higher_is_better is {said!r}")


CHECKS: list[Callable[[Subject], None]] = [measures, pieces, resets, directed]
CAPABILITIES: list[Callable[[Subject], None]] = []
