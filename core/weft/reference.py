"""A number that a run is held against: what others reach, or what it should."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from weft.errors import ConfigError, did_you_mean
from weft.settings import Reference


def check(wanted: Reference, metrics: Mapping[str, Any], splits: Collection[str]) -> None:
    """Raise ConfigError for a reference without a score or a number, and for a score that no run of these metrics has on these
    splits."""
    given = [name for name in ("at_least", "at_most", "source") if getattr(wanted, name) is not None]
    if wanted.score is None:
        if given:
            raise ConfigError(f"reference.{given[0]}: of which score? Give reference.score=…, such as test/loss")
        return
    known = [f"{split}/{name}" for split in splits for name in ("loss", *metrics) if (split, name) != ("train", "loss")]
    if wanted.score not in known:
        near = did_you_mean(wanted.score, known)
        there = f"there are {', '.join(known)}; or reference=null, which holds it against none"
        raise ConfigError(f"reference.score: {wanted.score!r} is no score of this run{near}; {there}")
    if wanted.at_least is None and wanted.at_most is None:
        raise ConfigError(f"reference.score: give reference.at_least or reference.at_most, to hold {wanted.score} against")
    if wanted.at_least is not None and wanted.at_most is not None and wanted.at_least > wanted.at_most:
        raise ConfigError(f"reference.at_least: {wanted.at_least:g} is above reference.at_most={wanted.at_most:g}")


def differing(wanted: Reference, params: Mapping[str, str], kinds: Collection[str]) -> dict[str, str]:
    """Return what of a run is not as its reference's `where` says, by the run's params: the condition, and what is so instead.

    Raises:
        ConfigError: a condition that is none, or of what no run has. `kinds` are those of parts, whose options a run may lack.
    """
    found = {}
    for condition in wanted.where:
        key, equals, value = condition.partition("=")
        if not equals or (key not in params and key.partition(".")[0] not in kinds):
            near = did_you_mean(key, [*params]) if equals else ""
            raise ConfigError(f"reference.where: {condition!r} is no setting and its value, such as dataset=digits{near}")
        if not _same(params.get(key, "none"), value):
            found[condition] = f"{key}={params.get(key, 'none')}"
    return found


def _same(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


@dataclass(frozen=True)
class Comparison:
    """What a run came to: a score's name, what it should be, where that is from, what it is, and whether that will do."""

    score: str
    wanted: str
    source: str
    reached: float
    met: bool

    def __str__(self) -> str:
        source = f" ({self.source})" if self.source else ""
        return f"{self.score} {self.reached:.4f}, {'met' if self.met else 'NOT MET'}: {self.wanted}{source}"


def compare(wanted: Reference, scores: Mapping[str, float]) -> Comparison | None:
    """Hold a run's scores against its reference; None where it has none. A score that isn't there, or isn't a number, meets
    nothing."""
    if wanted.score is None:
        return None
    reached = scores.get(wanted.score, math.nan)
    lowest = -math.inf if wanted.at_least is None else wanted.at_least
    highest = math.inf if wanted.at_most is None else wanted.at_most
    return Comparison(wanted.score, _shown(lowest, highest), wanted.source or "", reached, lowest <= reached <= highest)


def _shown(lowest: float, highest: float) -> str:
    """Return what a score should be, as text: ≥ 0.97."""
    if math.inf in (-lowest, highest):
        return f"≥ {lowest:g}" if highest == math.inf else f"≤ {highest:g}"
    return f"{lowest:g} to {highest:g}"
