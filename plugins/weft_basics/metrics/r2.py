"""How much of the targets' variance the model explains."""

from __future__ import annotations

import torch
from torch import Tensor

from weft_basics.metrics.fitting import check_task
from weft_basics.shapes import check_shapes


class R2:
    """1 - sum of squared errors / sum of squares about the targets' mean, for each of K outputs, then averaged over them.

    1 is perfect, 0 is what the mean alone would have. Outputs and targets (N, K). Targets that are all alike have 1 when they
    are met exactly, else 0, as scikit-learn's r2_score.

    Raises:
        ValueError: the task is no regression.
    """

    tasks = ("regression",)
    higher_is_better = True

    def __init__(self, task: str):
        check_task(self, task)
        self.reset()

    def reset(self) -> None:
        self.outputs: list[Tensor] = []
        self.targets: list[Tensor] = []

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        check_shapes(outputs, targets)
        self.outputs.append(outputs.detach())
        self.targets.append(targets)

    def compute(self) -> float:
        if not self.targets:
            return float("nan")
        # Sums of squares cancel badly in 32 bits, and not every device has 64.
        outputs, targets = (torch.cat(parts).cpu().double() for parts in (self.outputs, self.targets))
        errors = (outputs - targets).square().sum(0)
        spread = (targets - targets.mean(0)).square().sum(0)
        alike = targets.amax(0) == targets.amin(0)
        scores = torch.where(alike, (errors == 0).double(), 1 - errors / spread.masked_fill(alike, 1))
        return float(scores.mean())
