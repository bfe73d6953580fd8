"""Refusals that metrics share."""

from __future__ import annotations

import re


def check_task(metric: object, task: str) -> None:
    """Raise ValueError when the metric's `tasks` don't include this one."""
    tasks: tuple[str, ...] = metric.tasks  # type: ignore[attr-defined]
    if task not in tasks:
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(metric).__name__).lower()
        raise ValueError(f"{name} measures {' or '.join(tasks)}, not {task}")
