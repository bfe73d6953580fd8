"""The Kullback-Leibler divergence."""

from __future__ import annotations

import torch
from torch import Tensor

from weft_basics.losses.cross_entropy import CrossEntropy


class KullbackLeibler(CrossEntropy):
    """Kullback-Leibler divergence from the softmax of the scores to the targets: the mean of sum p · (log p - log softmax(y)).

    Outputs (N, C). Targets (N, C) are probabilities p, as the regularizer label_smoothing makes them; labels (N,) are certain,
    as are those of outputs (N, length, C) and targets (N, length), where IGNORED is no label. In nats, and 0 where the model
    has just these probabilities: the cross entropy less the targets' own entropy, so that both have the same gradient.
    Kullback and Leibler, "On information and sufficiency", 1951.
    """

    def __init__(self, outputs: int):
        super().__init__(outputs)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        found = super().forward(outputs, targets)
        return found - torch.special.entr(targets).sum(1).mean() if targets.is_floating_point() else found
