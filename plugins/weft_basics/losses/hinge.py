"""Hinge losses for several classes: what makes a linear model a support vector machine.

They are written out, rather than taken from torch.nn.functional, because its multi_margin_loss has no batching rule for vmap.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from weft import Range

Margin = Annotated[float, Range(1e-3, 1e3, log=True), "by how much the right score is to win, in the scores' unit"]


def hinge(outputs: Tensor, targets: Tensor, margin: float, power: int, class_weights: Tensor | None) -> Tensor:
    """Return the mean over samples of w[t] / C · sum over i ≠ t of max(0, margin - y[t] + y[i]) ^ power."""
    # Autocast leaves these operations in 16 bits, where a mean over many classes is off in the third digit.
    outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    labels = targets.unsqueeze(1)
    violations = (margin - outputs.gather(1, labels) + outputs).clamp_min(0).scatter(1, labels, 0.0)
    losses = (violations**power).mean(1)
    return (losses if class_weights is None else losses * class_weights[targets]).mean()


class Hinge(nn.Module):
    """Hinge loss: each wrong score that is not at least a margin below the right one counts by what it lacks.

    Outputs (N, C), targets (N,). The mean over samples of w[t] / C · sum over i ≠ t of max(0, margin - y[t] + y[i]), as
    torch.nn.MultiMarginLoss; w are the class weights. After Weston and Watkins, "Support vector machines for multi-class
    pattern recognition", 1999.
    """

    tasks = ("classification",)
    power = 1
    class_weights: Tensor | None

    def __init__(self, class_weights: Tensor | None = None, margin: Margin = 1.0):
        super().__init__()
        self.margin = margin
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return hinge(outputs, targets, self.margin, self.power, self.class_weights)


class SquaredHinge(Hinge):
    """Hinge loss with what each score lacks squared: smooth, and harder on large violations.

    Outputs (N, C), targets (N,). The mean over samples of w[t] / C · sum over i ≠ t of max(0, margin - y[t] + y[i])².
    """

    power = 2
