"""Whether a plugin's distribution was made for this weft."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from importlib.metadata import version

_NAMES_WEFT = re.compile(r"weft\b(?![-_.])", re.IGNORECASE)
"""What a requirement of weft begins with, and one of `weft-lion` doesn't."""


def misfit(requirements: Iterable[str]) -> str:
    """Return why a distribution with these requirements (`Requires-Dist` of its metadata) can't go with this weft; "" where
    it can. pip refuses such a pair, and a weft that was installed later leaves it behind all the same."""
    return next(filter(None, map(_unmet, filter(_NAMES_WEFT.match, requirements))), "")


@functools.cache
def _unmet(requirement: str) -> str:
    """Return why a requirement of weft isn't met. Many plugins have the same one, and each would read weft's own metadata."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        needed = Requirement(requirement)
    except InvalidRequirement:
        return ""  # no installer could have read it either, and nothing is known against the plugin
    installed = version("weft")
    applies = needed.marker is None or needed.marker.evaluate({"extra": ""})
    if not applies or needed.specifier.contains(installed, prereleases=True):
        return ""
    return f"was made for weft {needed.specifier}, and this is weft {installed}: install the one that goes with the other"
