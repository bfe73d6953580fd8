"""How probable samples are."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from weft_basics.beside import DENSITY
from weft_basics.metrics.fitting import check_task


class LogLikelihood:
    """Mean of the logarithm of each sample's density, that is of the sum over c of p(x, c), in nats.

    Outputs (N, K) are the logarithms of p(x, c).

    Raises:
        ValueError: the task has no densities.
    """

    tasks = ("density",)
    higher_is_better = True
    beside: ClassVar[dict[str, Any]] = DENSITY

    def __init__(self, task: str):
        check_task(self, task)
        self.reset()

    def reset(self) -> None:
        self.total: Tensor | float = 0.0
        self.samples = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        self.total = self.total + outputs.double().logsumexp(1).sum()
        self.samples += len(outputs)

    def compute(self) -> float:
        return float(self.total) / self.samples if self.samples else float("nan")
