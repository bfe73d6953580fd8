"""Waiting for a score to improve."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from weft import ConfigError, Range

if TYPE_CHECKING:
    from weft import Run

Epochs = Annotated[int, Range(1, 100_000, log=True), "epochs without improvement"]
MinDelta = Annotated[float, Range(0, 1e6), "how much better counts as improvement, in the score's unit"]
Monitor = Annotated[str | None, "a score such as valid/loss or max:valid/accuracy; null: the run's objective"]

Better = Callable[[float, float | None], bool]
"""Whether the first score beats the second, which is None before there is one."""


class Patience:
    """Counts the epochs since a score last improved. NaN is no improvement."""

    def __init__(self, min_delta: float):
        self.min_delta = min_delta
        self.best: float | None = None
        self.waited = 0

    def see(self, score: float, better: Better) -> int:
        """Take an epoch's score; return how many epochs it has not improved for."""
        improved = better(score, self.best)
        if improved and self.best is not None and not math.isnan(self.best):
            improved = abs(score - self.best) > self.min_delta
        self.best, self.waited = (score, 0) if improved else (self.best, self.waited + 1)
        return self.waited

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]


def watched(run: Run, monitor: str | None, callback: str) -> tuple[str, Better]:
    """Return the name of the score to watch and what makes it better: the run's objective, or what `monitor` names.

    Raises:
        ConfigError: there is no such score, or it doesn't say which way it is better.
    """
    if monitor is None:
        return run.objective.key, run.objective.better
    direction, _, key = monitor.rpartition(":")
    split, _, name = key.partition("/")
    place = f"callback.{callback}.monitor"
    if direction not in ("", "min", "max") or split != "valid" or name not in ("loss", *run.metrics):
        known = ", ".join(f"valid/{name}" for name in ("loss", *run.metrics))
        raise ConfigError(f"{place}: {monitor!r} is no score; there are {known}, with min: or max: before it or not")
    maximize: bool | None = direction == "max"
    if not direction and name != "loss":
        maximize = getattr(run.metrics[name], "higher_is_better", None)
        if maximize is None:
            raise ConfigError(f"{place}: {name} doesn't say which way it is better: write min:{key} or max:{key}")

    def better(new: float, old: float | None) -> bool:
        if math.isnan(new) or old is None or math.isnan(old):
            return not math.isnan(new)
        return new > old if maximize else new < old

    return key, better
