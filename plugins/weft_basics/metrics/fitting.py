"""Refusals that metrics share."""

from __future__ import annotations

from torch import Tensor


def check_task(metric: object, task: str) -> None:
    """Raise ValueError when the metric's `tasks` don't include this one."""
    tasks: tuple[str, ...] = metric.tasks  # type: ignore[attr-defined]
    if task not in tasks:
        raise ValueError(f"{type(metric).__name__.lower()} measures {' or '.join(tasks)}, not {task}")


def check_shapes(outputs: Tensor, targets: Tensor) -> None:
    """Raise ValueError where torch would broadcast outputs against targets."""
    if outputs.shape != targets.shape:
        raise ValueError(f"outputs of shape {list(outputs.shape)} can't be held against targets of shape {list(targets.shape)}")
