"""The cross entropy."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft import Range


class CrossEntropy(nn.Module):
    """Cross entropy of the softmax of the scores: the mean of -log softmax(y)[t], in nats.

    Outputs (N, C). Targets (N,) are labels; (N, C) are probabilities, as the regularizer label_smoothing makes them.
    With class weights it is the mean weighted by each label's. Smoothing gives each class an equal part of that share of the
    target (Szegedy et al., "Rethinking the Inception architecture", 2016).

    Raises:
        ValueError: probabilities with class weights, whose mean is not defined here.
    """

    tasks = ("classification",)
    class_weights: Tensor | None

    def __init__(
        self,
        outputs: int,
        class_weights: Tensor | None = None,
        label_smoothing: Annotated[float, Range(0, 1), "share of a target that goes to all classes alike"] = 0.0,
    ):
        super().__init__()
        self.outputs = outputs
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weights", class_weights, persistent=False)

    def batch_weight(self, targets: Tensor) -> Tensor | int:
        """Return the sum of the labels' weights, which the mean is over."""
        if self.class_weights is None or targets.is_floating_point():
            return len(targets)
        return self.class_weights[targets].sum()

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if targets.is_floating_point():
            if self.class_weights is not None:
                raise ValueError("cross_entropy with class weights takes labels, not probabilities")
            # Probabilities are made before the model's precision is known; torch wants one type.
            common = torch.promote_types(outputs.dtype, targets.dtype)
            outputs, targets = outputs.to(common), targets.to(common)
        return functional.cross_entropy(outputs, targets, self.class_weights, label_smoothing=self.label_smoothing)
