"""Refusals that metrics share."""

from __future__ import annotations


def check_task(metric: object, task: str) -> None:
    """Raise ValueError when the metric's `tasks` don't include this one."""
    tasks: tuple[str, ...] = metric.tasks  # type: ignore[attr-defined]
    if task not in tasks:
        raise ValueError(f"{type(metric).__name__.lower()} measures {' or '.join(tasks)}, not {task}")
