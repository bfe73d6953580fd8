"""How well the outputs rank."""

from __future__ import annotations

import torch
from torch import Tensor

from weft_basics.metrics.fitting import check_task


class AUROC:
    """Area under the ROC curve, each class against all others, averaged over classes.

    The probability that a sample of a class has a higher softmax for it than a sample of another; ties count half. Outputs
    (N, C), targets (N,). A class that all samples belong to, or none, has no curve and doesn't count; without any curve it is
    0.5, which is what guessing has.

    Raises:
        ValueError: the task is no classification.
    """

    tasks = ("classification",)
    higher_is_better = True

    def __init__(self, task: str, outputs: int):
        check_task(self, task)
        self.classes = outputs
        self.reset()

    def reset(self) -> None:
        self.probabilities: list[Tensor] = []
        self.targets: list[Tensor] = []

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        wide = torch.promote_types(outputs.dtype, torch.float32)  # in 16 bits many samples would tie
        self.probabilities.append(outputs.detach().to(wide).softmax(1))
        self.targets.append(targets)

    def compute(self) -> float:
        from torchmetrics.functional.classification import binary_auroc

        if not self.targets:
            return float("nan")
        probabilities, targets = torch.cat(self.probabilities), torch.cat(self.targets)
        present = torch.bincount(targets, minlength=self.classes)
        areas = [
            float(binary_auroc(probabilities[:, label], (targets == label).long(), validate_args=False))
            for label, samples in enumerate(present.tolist())
            if 0 < samples < len(targets)
        ]
        return sum(areas) / len(areas) if areas else 0.5
