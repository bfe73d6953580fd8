"""What a run is judged by: one score, and which way it is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weft.errors import ConfigError, did_you_mean

OWN_LOSS = "valid/loss"
"""The score that is another quantity with each loss."""


@dataclass(frozen=True)
class Objective:
    """A score's name, such as `valid/loss`, and whether more of it is better."""

    key: str
    maximize: bool

    def better(self, new: float, old: float | None) -> bool:
        """Whether `new` beats `old`. Nothing beats with NaN; anything else beats NaN and None."""
        if math.isnan(new):
            return False
        if old is None or math.isnan(old):
            return True
        return new > old if self.maximize else new < old

    def __str__(self) -> str:
        return f"{'max' if self.maximize else 'min'}:{self.key}"


def parse(text: str, metrics: Mapping[str, Any]) -> Objective:
    """Read `valid/loss`, or `max:valid/accuracy` where the direction isn't the metric's own.

    Raises:
        ConfigError: no such score, or a metric that doesn't say which way it is better.
    """
    direction, _, key = text.rpartition(":")
    split, _, name = key.partition("/")
    known = [f"valid/{known}" for known in ("loss", *metrics)]
    if direction not in ("", "min", "max") or split != "valid" or name not in ("loss", *metrics):
        raise ConfigError(
            f"objective: {text!r} is no score{did_you_mean(key, known)}; there are {', '.join(known)}, "
            "with min: or max: before it or not; other metrics come with metric=[NAME,…]"
        )
    if direction:
        return Objective(key, direction == "max")
    higher = False if name == "loss" else getattr(metrics[name], "higher_is_better", None)
    if higher is None:
        raise ConfigError(f"objective: metric {name} doesn't say which way it is better: write min:{key} or max:{key}")
    return Objective(key, bool(higher))
