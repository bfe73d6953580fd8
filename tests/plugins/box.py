"""What the box offers, read as the catalog reads it, without its cache or child process."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from weft import catalog, checkpoint
from weft.catalog import Loaded, Plugin
from weft.kinds import KINDS

PLUGIN = Plugin("basics", "weft_basics", "weft", "")


@functools.cache
def box() -> dict[tuple[str, str], Loaded]:
    """Return every component by kind and name, its factory imported."""
    return {(offer.kind.name, offer.name): catalog._loaded(offer, PLUGIN) for offer in catalog.collect("basics", "weft_basics")}


def names(kind: str) -> list[str]:
    return [name for of, name in box() if of == kind]


def make(kind: str, name: str, **given: Any) -> Any:
    """Build a component from its defaults and what is given: options, and what the run supplies, asked for or not."""
    loaded = box()[kind, name]
    options = {option.name: option.default for option in loaded.component.options if option.default != "???"}
    run = {source: given.pop(source) for source in KINDS[kind].supplied if source in given}
    supplied = {parameter: run[source] for parameter, source in loaded.signature.supplied.items() if source in run}
    return loaded.factory(**{**loaded.signature.fixed, **options, **supplied, **given})


def kept(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a state as a checkpoint gives it back."""
    checkpoint.write(folder / "state", state)
    return checkpoint.read(folder / "state")
