"""What makes two jobs the same job, and what makes one check speak for several."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from weft.configuration import Configuration, Part

_ELSEWHERE = ("name", "tags", "tracking", "telemetry", "sweep", "runs", "reference")
"""Settings that say what a run is called and where it is recorded: they change nothing in it."""
_LATER = (*_ELSEWHERE, "seed", "epochs", "steps", "observe")
"""Settings that can't decide whether a run is sound."""


def identity(wanted: Configuration, data: str) -> str:
    """Return a job's name for itself: a hash of what it is made of, of the plugins' versions and of the digest of its data.

    Jobs of one identity come to the same result, but for the last bits that another device, number of threads or version of
    torch gives.
    """
    return digest([made_of(wanted.tree()), plugins(wanted), data])


def made_of(tree: Mapping[str, Any]) -> str:
    """Return a hash of a configuration alone, less what changes nothing in the run."""
    return digest(_without(tree, _ELSEWHERE))


def plugins(wanted: Configuration) -> list[str]:
    """Return the distributions that a job's parts are of, with their versions."""
    return sorted({str(part.component.plugin) for part in wanted.every_part()})


def likeness(wanted: Configuration) -> str:
    """Return the same text for jobs of which all are sound when one is: those that differ in seed, length, what is recorded, or
    in numbers with a fraction. Whether such a number is zero, or negative, does matter: SGD takes Nesterov's momentum only
    where there is momentum."""
    tree = {kind: [_signs(part) for part in parts] for kind, parts in wanted.parts.items()}
    settings = _without(wanted.tree(), (*_LATER, *wanted.parts))
    return digest([tree, settings])


def _signs(value: Any) -> Any:
    """Return the value with the sign of each number that has a fraction in its place."""
    if isinstance(value, Part):
        return [value.place, value.component.name, _signs(value.options)]
    if isinstance(value, float):
        return f"{(value > 0) - (value < 0):+d}."
    if isinstance(value, (list, tuple)):
        return [_signs(item) for item in value]
    return {key: _signs(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _without(tree: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if key not in keys}


def digest(value: Any) -> str:
    """Return a digest of plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
