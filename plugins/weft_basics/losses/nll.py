"""The likelihood of models that give log-probabilities themselves."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from weft_basics.losses.labels import OfLabels, total_weight
from weft_basics.losses.precision import widened
from weft_basics.sequences import IGNORED, places

_TOLERANCE = 0.05
"""How far from 0 the logarithm of the probabilities' sum may be: bfloat16 rounds those above -16 by 0.03 at most."""


class NegativeLogLikelihood(OfLabels):
    """Negative log-likelihood, where the model gives log-probabilities: the mean of -y[t], in nats.

    Outputs (N, C), targets (N,); or (N, length, C) and (N, length), where IGNORED is no label. With class weights it is the
    mean weighted by each label's. As torch.nn.NLLLoss; with the activation log_softmax as the model's last step it is the
    cross entropy.

    Raises:
        ValueError: at the first call, outputs that aren't log-probabilities. Later ones aren't looked at: a GPU would wait.
    """

    def __init__(self, class_weights: Tensor | None = None):
        super().__init__(class_weights)
        self.checked = False

    def batch_weight(self, targets: Tensor) -> Tensor | int:
        """Return the sum of the labels' weights, which the mean is over."""
        return super().batch_weight(targets) if self.class_weights is None else total_weight(targets, self.class_weights)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if not self.checked:
            _check(*places(outputs, targets))
            self.checked = True
        total = functional.nll_loss(
            widened(outputs.flatten(0, -2)), targets.flatten(), self.class_weights, ignore_index=IGNORED, reduction="sum"
        )
        return total / self.batch_weight(targets)


def _check(outputs: Tensor, targets: Tensor) -> None:
    totals = widened(outputs.detach()).logsumexp(1)
    wrong = torch.nonzero(~(totals.abs() <= _TOLERANCE)).flatten()
    if len(wrong):
        raise ValueError(
            "nll takes log-probabilities, whose exponentials sum to 1 over the classes; "
            f"they sum to {float(totals[wrong[0]].exp()):g}: take cross_entropy, which is for scores, or a model that ends in "
            "the activation log_softmax"
        )
