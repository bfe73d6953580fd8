"""What weft's conformance suite is to try a component beside that is for a task without labels."""

from __future__ import annotations

from typing import Any

CLUSTERING: dict[str, Any] = {"dataset": {"name": "unlabelled"}}
DENSITY: dict[str, Any] = {"dataset": {"name": "unlabelled", "task": "density"}}
RECONSTRUCTION: dict[str, Any] = {
    "dataset": {"name": "unlabelled", "of": "digits", "task": "reconstruction"},
    "model": {"name": "vae"},
    "optimizer": {"name": "adam"},  # a likelihood of many numbers is too steep for plain steps
}
