"""The same budget for each value that is compared, so that a comparison is one of equals."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from weft.errors import ConfigError
from weft.sweep.results import key_of

_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Budget:
    """What each value of `axis` may have: so many jobs, or so many seconds of them."""

    axis: str
    jobs: int | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        return f"{self.jobs} jobs" if self.jobs is not None else f"{self.seconds:g} s"


def read(compare: str | None, budget: int | str | None) -> Budget | None:
    """Return the budget that `sweep.compare` and `sweep.budget` ask for, if any.

    Raises:
        ConfigError: one without the other, or a budget that is none.
    """
    if compare is None and budget is None:
        return None
    if compare is None:
        raise ConfigError(f"sweep.budget: {budget} of what? sweep.compare=optimizer gives it to each optimizer")
    if budget is None:
        raise ConfigError(f"sweep.compare={compare}: give each its budget with sweep.budget=20 (jobs), or 600s, 30m, 2h")
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(budget).strip())
    if not found or float(found[1]) == 0 or (not found[2] and "." in found[1]):
        raise ConfigError(f"sweep.budget: {budget!r} is none; it could be a number of jobs, as 20, or a time, as 600s, 30m, 2h")
    if found[2]:
        return Budget(compare, seconds=float(found[1]) * _UNITS[found[2]])
    return Budget(compare, jobs=int(found[1]))


def value(axis: str, overrides: Sequence[str]) -> str | None:
    """Return what a job's overrides say of an axis."""
    return next((text.partition("=")[2] for text in reversed(overrides) if key_of(text) == axis), None)


def chosen(budget: Budget, jobs: Sequence[Sequence[str]]) -> list[bool]:
    """Return which jobs of a grid are within the budget of their value: all where each may have a time, else as many of each
    as each has. Which ones is drawn by lot, from what they are, so that a grid that grows keeps most.

    Raises:
        ConfigError: the jobs say nothing of what is to be compared.
    """
    values = [value(budget.axis, overrides) for overrides in jobs]
    if None in values:
        raise ConfigError(f"sweep.compare: no job says {budget.axis}=…; compare what the sweep varies")
    if budget.jobs is None:
        return [True] * len(jobs)
    most = min(budget.jobs, *(values.count(name) for name in set(values)), len(jobs))
    kept: set[int] = set()
    for name in dict.fromkeys(values):
        own = [number for number, found in enumerate(values) if found == name]
        kept.update(sorted(own, key=lambda number: lot(jobs[number]))[:most])
    return [number in kept for number in range(len(jobs))]


def lot(overrides: Sequence[str]) -> bytes:
    """Return what jobs are sorted by to stand in an order that follows from nothing but what they are."""
    return hashlib.sha256("\0".join(overrides).encode()).digest()
