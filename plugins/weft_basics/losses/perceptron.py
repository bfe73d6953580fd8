"""The perceptron's criterion."""

from __future__ import annotations

from torch import Tensor

from weft_basics.losses.hinge import lacks
from weft_basics.losses.labels import OfLabels


class Perceptron(OfLabels):
    """Perceptron criterion: what the right score lacks to be the highest, the mean of max(0, max over i ≠ t of y[i] - y[t]).

    Outputs (N, C), targets (N,); or (N, length, C) and (N, length), where IGNORED is no label. Each loss is multiplied by its
    label's class weight. A tie is a mistake, whose gradient goes to all the rivals that are tied in equal parts; so a linear
    model learns from weights that are all zero. With SGD, one sample a step, it is Rosenblatt's rule ("The perceptron",
    1958), for several classes that of Crammer and Singer, "Ultraconservative online algorithms for multiclass problems", 2003.
    """

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return lacks(outputs, labels)
