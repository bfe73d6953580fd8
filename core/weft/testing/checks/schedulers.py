"""What is asked of schedulers."""

from __future__ import annotations

import math
from collections.abc import Callable

from weft.testing.outcome import Failure
from weft.testing.subject import Subject, train


def steps(subject: Subject) -> None:
    """At every step of a run the learning rate is a finite number that is not below zero."""
    run = subject.run()
    for step in range(run.total_steps):
        train(run, 1)
        for group in run.optimizer.param_groups:
            rate = float(group["lr"])
            if not (math.isfinite(rate) and rate >= 0):
                raise Failure(f"after step {step + 1} the learning rate is {rate}")


def independent(subject: Subject) -> None:
    """Two of it in one process don't disturb each other."""
    one, other = subject.run(), subject.run()
    rates = []
    for _ in range(3):
        train(one, 1)
        rates.append([float(group["lr"]) for group in one.optimizer.param_groups])
    for expected in rates:
        train(other, 1)
        found = [float(group["lr"]) for group in other.optimizer.param_groups]
        if found != expected:
            raise Failure(f"a second one has the learning rate {found}, where the first had {expected}")


CHECKS: list[Callable[[Subject], None]] = [steps, independent]
CAPABILITIES: list[Callable[[Subject], None]] = []
