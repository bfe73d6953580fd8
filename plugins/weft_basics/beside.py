"""What weft's conformance suite is to try a component beside that is for a task without labels."""

from __future__ import annotations

from typing import Any

CLUSTERING: dict[str, Any] = {"dataset": {"name": "unlabelled"}}
DENSITY: dict[str, Any] = {"dataset": {"name": "unlabelled", "task": "density"}}
CONTROL: dict[str, Any] = {
    "dataset": {"name": "episodes", "steps": 200, "valid": 4, "test": 4},  # in CartPole, by default
    "optimizer": {"name": "adam"},
}
ACTOR_CRITIC: dict[str, Any] = CONTROL | {"model": {"name": "actor_critic"}, "loss": {"name": "policy_gradient"}}
RECONSTRUCTION: dict[str, Any] = {
    "dataset": {"name": "unlabelled", "of": "digits", "task": "reconstruction"},
    "model": {"name": "vae"},
    "optimizer": {"name": "adam"},  # a likelihood of many numbers is too steep for plain steps
}
