"""The symmetric cross entropy."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional

from weft import Range


class SymmetricCrossEntropy(nn.Module):
    """Cross entropy, and the same with label and answer in each other's place, which wrong labels disturb less.

    Outputs (N, C) are scores, targets (N,) labels from 0 to C - 1. With p = softmax(y)[t] it is the mean of
    alpha · -log p + beta · floor · (1 - p): in the second part the label is the logarithm, and -floor stands for log 0.
    Wang et al., "Symmetric cross entropy for robust learning with noisy labels", 2019.
    """

    tasks = ("classification",)

    def __init__(
        self,
        alpha: Annotated[float, Range(0, 10), "of the cross entropy"] = 0.1,
        beta: Annotated[float, Range(0, 10), "of the reverse"] = 1.0,
        floor: Annotated[float, Range(0.1, 20, log=True), "what stands for -log 0"] = 4.0,
    ):
        super().__init__()
        self.alpha = alpha
        self.reverse = beta * floor

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        entropies = functional.cross_entropy(outputs, targets, reduction="none")  # -log p
        return (self.alpha * entropies - self.reverse * (-entropies).expm1()).mean()
