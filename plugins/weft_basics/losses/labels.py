"""What losses of labels share: which places count, and how much."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft_basics.losses.precision import widened
from weft_basics.sequences import IGNORED, LABELS


class OfLabels(nn.Module):
    """A mean over all places that have a label, each one's loss times the weight of its label's class.

    Outputs (N, C), targets (N,); or (N, length, C) and (N, length), where IGNORED is no label. `losses` is what is averaged.
    """

    tasks = LABELS
    class_weights: Tensor | None

    def __init__(self, class_weights: Tensor | None = None):
        super().__init__()
        self.register_buffer("class_weights", class_weights, persistent=False)

    def batch_weight(self, targets: Tensor) -> Tensor | int:
        """Return the number of places that have a label, which the mean is over."""
        return len(targets) if targets.ndim == 1 else (targets != IGNORED).sum()

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        missing = targets.flatten() == IGNORED
        labels = targets.flatten().masked_fill(missing, 0)
        losses = self.losses(widened(outputs.flatten(0, -2)), labels)
        if self.class_weights is not None:
            losses = losses * self.class_weights[labels]
        return losses.masked_fill(missing, 0).sum() / self.batch_weight(targets)

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each place (M,) from its scores (M, C) and its label (M,)."""
        raise NotImplementedError


def total_weight(targets: Tensor, class_weights: Tensor) -> Tensor:
    """Return the sum of the class weights of all labels. It is above zero even where all of these classes weigh nothing: such
    a batch counts for next to nothing, and has a loss of 0 rather than 0 / 0."""
    missing = targets == IGNORED
    weights = class_weights[targets.masked_fill(missing, 0)].masked_fill(missing, 0)
    return weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)


def one_against_the_rest(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return by how much each of the scores (M, C) is on its right side of zero: y for the label's class, -y for the rest."""
    labels = labels.unsqueeze(1)
    return (-outputs).scatter(1, labels, outputs.gather(1, labels))
