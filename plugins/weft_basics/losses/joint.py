"""The likelihood of samples with their labels."""

from __future__ import annotations

from torch import Tensor

from weft_basics.losses.nll import NegativeLogLikelihood


class JointNLL(NegativeLogLikelihood):
    """Negative log-likelihood of samples with their labels: the mean of -log p(x, t), in nats.

    Outputs (N, C) are the logarithms of p(x, c), as gaussians gives them, targets (N,) labels. Unlike nll's, their
    exponentials sum to p(x), not to 1: a model is fitted to the samples, too. With class weights it is the mean weighted by
    each label's.
    """

    def __init__(self, class_weights: Tensor | None = None):
        super().__init__(class_weights)
        self.checked = True
