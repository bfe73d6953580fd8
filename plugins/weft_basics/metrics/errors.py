"""Sizes of errors, averaged over all N x K numbers."""

from __future__ import annotations

import math

from torch import Tensor

from weft_basics.metrics.fitting import check_task
from weft_basics.shapes import check_shapes


class Errors:
    """A mean over all numbers of outputs (N, K) and targets (N, K). `size` is what is averaged."""

    tasks = ("regression",)
    higher_is_better = False

    def __init__(self, task: str):
        check_task(self, task)
        self.reset()

    def reset(self) -> None:
        self.total: Tensor | float = 0.0
        self.numbers = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        check_shapes(outputs, targets)
        self.total = self.total + self.size(outputs - targets).sum()
        self.numbers += targets.numel()

    def compute(self) -> float:
        return float(self.total) / self.numbers if self.numbers else float("nan")

    def size(self, errors: Tensor) -> Tensor:
        """Return each error's size."""
        raise NotImplementedError


class MSE(Errors):
    """Mean of squared errors, in the square of the targets' unit."""

    def size(self, errors: Tensor) -> Tensor:
        return errors.square()


class RMSE(MSE):
    """Root of the mean of squared errors, in the targets' unit."""

    def compute(self) -> float:
        return math.sqrt(super().compute())


class MAE(Errors):
    """Mean of absolute errors, in the targets' unit."""

    def size(self, errors: Tensor) -> Tensor:
        return errors.abs()
