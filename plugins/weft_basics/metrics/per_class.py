"""What is counted from right and wrong answers of each class, then averaged over classes alike.

A class that is in neither targets nor answers so far doesn't count; where a fraction is 0 / 0 it is 0. Outputs (N, C), targets
(N,); or (N, length, C) and (N, length), each place for itself. As scikit-learn's and torchmetrics' macro averages.
"""

from __future__ import annotations

import torch
from torch import Tensor

from weft_basics.metrics.fitting import check_task
from weft_basics.sequences import LABELS, places


class PerClass:
    """How many samples of each class there are, were answered right, and were answered with it. `score` is what is averaged
    over classes."""

    tasks = LABELS
    higher_is_better = True

    def __init__(self, task: str, outputs: int):
        check_task(self, task)
        self.classes = outputs
        self.reset()

    def reset(self) -> None:
        self.counts: Tensor | None = None

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        outputs, targets = places(outputs, targets)
        answers = outputs.argmax(1)
        # Three counts of each class, not one of each pair of classes: of ten thousand tokens those are a hundred million.
        right = torch.where(answers == targets, targets, self.classes)
        counted = (right, targets, answers)
        counts = torch.stack([torch.bincount(labels, minlength=self.classes + 1)[: self.classes] for labels in counted])
        self.counts = counts if self.counts is None else self.counts + counts

    def compute(self) -> float:
        if self.counts is None:
            return float("nan")
        right, targets, answers = self.counts.cpu().double()
        scores = self.score(right, targets, answers).nan_to_num(0)
        return float(scores[targets + answers > 0].mean())

    def score(self, right: Tensor, targets: Tensor, answers: Tensor) -> Tensor:
        """Return each class's score (C,) from its right answers, its samples and the answers that named it, all (C,)."""
        raise NotImplementedError


class F1(PerClass):
    """Harmonic mean of precision and recall, averaged over classes."""

    def score(self, right: Tensor, targets: Tensor, answers: Tensor) -> Tensor:
        return 2 * right / (targets + answers)


class Precision(PerClass):
    """Share of the answers naming a class that are right, averaged over classes."""

    def score(self, right: Tensor, targets: Tensor, answers: Tensor) -> Tensor:
        return right / answers


class Recall(PerClass):
    """Share of a class's samples that are answered right, averaged over classes."""

    def score(self, right: Tensor, targets: Tensor, answers: Tensor) -> Tensor:
        return right / targets
