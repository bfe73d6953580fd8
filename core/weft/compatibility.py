"""Whether a plugin's distribution was made for this weft."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import version

_NAMES_WEFT = re.compile(r"weft\b(?![-_.])", re.IGNORECASE)
"""What a requirement of weft begins with, and one of `weft-lion` doesn't."""


def misfit(requirements: Iterable[str]) -> str:
    """Return why a distribution with these requirements (`Requires-Dist` of its metadata) can't go with this weft; "" where
    it can. pip refuses such a pair, and a weft that was installed later leaves it behind all the same."""
    about_weft = [text for text in requirements if _NAMES_WEFT.match(text)]
    if not about_weft:
        return ""
    from packaging.requirements import InvalidRequirement, Requirement

    installed = version("weft")
    for text in about_weft:
        try:
            needed = Requirement(text)
        except InvalidRequirement:
            continue  # no installer could have read it either, and nothing is known against the plugin
        applies = needed.marker is None or needed.marker.evaluate({"extra": ""})
        if applies and not needed.specifier.contains(installed, prereleases=True):
            return (
                f"was made for weft {needed.specifier}, and this is weft {installed}: install the one that goes with the other"
            )
    return ""
