"""How often the model is right."""

from __future__ import annotations

from torch import Tensor

from weft_basics.metrics.fitting import check_task
from weft_basics.sequences import LABELS, places


class Accuracy:
    """Share of samples, or of a sequence's places, whose largest output is the right one.

    Outputs (N, C), targets (N,); or (N, length, C) and (N, length).

    Raises:
        ValueError: the task has no labels.
    """

    tasks = LABELS
    higher_is_better = True

    def __init__(self, task: str):
        check_task(self, task)
        self.reset()

    def reset(self) -> None:
        self.right: Tensor | float = 0.0
        self.samples = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        # A sum of tensors: with one label a sample, nothing waits for the device until the score is asked for.
        outputs, targets = places(outputs, targets)
        self.right = self.right + (outputs.argmax(1) == targets).sum()
        self.samples += len(targets)

    def compute(self) -> float:
        return float(self.right) / self.samples if self.samples else float("nan")
