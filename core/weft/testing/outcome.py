"""What a check comes to, and the card of all that was found of a component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a check says of a component."""

    PASSED = "passed"
    FAILED = "failed"
    CANNOT = "cannot"  # a capability that it doesn't have, or a check that it says is not for it
    SKIPPED = "skipped"  # nothing to be checked: no such device, no such method


class Failure(AssertionError):
    """A component breaks its contract; the message says how."""


class Cannot(Exception):
    """A component lacks a capability that it need not have; the message says why."""


class Skip(Exception):
    """There is nothing to check; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """One check's verdict. `detail` is the reason, or what was found."""

    check: str
    verdict: Verdict
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Card:
    """A component's capabilities: what was checked of it, on what, with which versions, and what it costs.

    `data` are the kinds of samples that it was run with. `measures` are numbers: the component's parameters, its state in
    bytes, and its step's time as a multiple of the same step with a plain one of its kind.
    """

    kind: str
    name: str
    distribution: str
    version: str
    data: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def conforms(self) -> bool:
        """Whether no check failed."""
        return all(outcome.verdict is not Verdict.FAILED for outcome in self.outcomes)

    def of(self, verdict: Verdict) -> Sequence[Outcome]:
        """Return the outcomes with this verdict."""
        return [outcome for outcome in self.outcomes if outcome.verdict is verdict]

    def dump(self) -> dict[str, Any]:
        """Return the card as JSON's types."""
        return {**asdict(self), "conforms": self.conforms}
