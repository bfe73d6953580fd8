"""What a plugin author can say about a parameter: its range, that it is a choice, that the run supplies it.

lr: Annotated[float, Range(1e-5, 1, log=True)] = 1e-3
activation: Annotated[Callable[[], Module], Choice("activation")] = "relu"
register(CosineAnnealingLR, T_max=supplied("total_steps"), last_epoch=fixed(-1))
"""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, both included; `log` says that a search should be even on a logarithmic scale."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"a range runs from low to high, not from {self.low} to {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range starts above zero, not at {self.low}")

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"at least {self.low}"
        return f"{self.low} to {self.high}" + (", log" if self.log else "")


@dataclass(frozen=True)
class Choice:
    """One component of another kind, by name. It arrives as a function without arguments that builds a new one."""

    kind: str


@dataclass(frozen=True)
class Supplied:
    """Made by `supplied(name)`."""

    name: str


@dataclass(frozen=True)
class Fixed:
    """Made by `fixed(value)`."""

    value: Any


def supplied(name: str) -> Supplied:
    """Bind a parameter to what the run supplies under `name`, which is one of its kind's (see `kinds.py`)."""
    return Supplied(name)


def fixed(value: Any) -> Fixed:
    """Bind a parameter to `value`: it is no option any more."""
    return Fixed(value)
