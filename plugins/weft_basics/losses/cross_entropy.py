"""The cross entropy."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from weft import Range
from weft_basics.losses.labels import OfLabels, total_weight
from weft_basics.losses.precision import widened
from weft_basics.sequences import IGNORED


class CrossEntropy(OfLabels):
    """Cross entropy of the softmax of the scores: the mean of -log softmax(y)[t], in nats.

    Outputs (N, C). Targets (N,) are labels; (N, C) are probabilities, as the regularizer label_smoothing makes them. Or outputs
    (N, length, C) and targets (N, length), where IGNORED is no label. With class weights it is the mean weighted by each
    label's. Smoothing gives each class an equal part of that share of the target (Szegedy et al., "Rethinking the Inception
    architecture", 2016).

    Raises:
        ValueError: probabilities with class weights, whose mean is not defined here.
    """

    def __init__(
        self,
        outputs: int,
        class_weights: Tensor | None = None,
        label_smoothing: Annotated[float, Range(0, 1), "share of a target that goes to all classes alike"] = 0.0,
    ):
        super().__init__(class_weights)
        self.outputs = outputs
        self.label_smoothing = label_smoothing

    def batch_weight(self, targets: Tensor) -> Tensor | int:
        """Return the sum of the labels' weights, which the mean is over."""
        if targets.is_floating_point():
            return len(targets)
        return super().batch_weight(targets) if self.class_weights is None else total_weight(targets, self.class_weights)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if targets.is_floating_point():
            if self.class_weights is not None:
                raise ValueError("cross_entropy with class weights takes labels, not probabilities")
            # Probabilities are made before the model's precision is known; torch wants one type.
            common = torch.promote_types(outputs.dtype, targets.dtype)
            return functional.cross_entropy(outputs.to(common), targets.to(common), label_smoothing=self.label_smoothing)
        found = functional.cross_entropy(
            widened(outputs.flatten(0, -2)),
            targets.flatten(),
            self.class_weights,
            ignore_index=IGNORED,
            # torch's own mean has no answer where all labels weigh nothing.
            reduction="mean" if self.class_weights is None else "sum",
            label_smoothing=self.label_smoothing,
        )
        return found if self.class_weights is None else found / self.batch_weight(targets)
