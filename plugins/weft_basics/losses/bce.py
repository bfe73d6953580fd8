"""The cross entropy of each class by itself."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from weft_basics.losses.labels import OfLabels, one_against_the_rest


class BinaryCrossEntropy(OfLabels):
    """Binary cross entropy of each class against the rest: the mean of -log sigmoid(y[t]) and all other -log sigmoid(-y[i]).

    Outputs (N, C), targets (N,); or (N, length, C) and (N, length), where IGNORED is no label. The mean over samples of
    w[t] / C · sum over i of log(1 + exp(-s[i] · y[i])), in nats, with s[i] = 1 for the label and -1 else; w are the class
    weights. As torch.nn.BCEWithLogitsLoss of labels as one-hot, and torch.nn.SoftMarginLoss of s: logistic regression, one
    against the rest.
    """

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return -functional.logsigmoid(one_against_the_rest(outputs, labels)).mean(1)
