"""Hinge losses for several classes: what makes a linear model a support vector machine.

They are written out, rather than taken from torch.nn.functional, because its multi_margin_loss has no batching rule for vmap.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from weft import Range
from weft_basics.losses.labels import OfLabels, one_against_the_rest


def lacks(outputs: Tensor, labels: Tensor, margin: float = 0.0) -> Tensor:
    """Return what the label's score lacks to win over the best other by the margin, (M,): max(0, margin + max y[i] - y[t]).

    At 0 its gradient is that of a mistake. It goes to all others that are the best in equal parts.
    """
    labels = labels.unsqueeze(1)
    rivals = outputs.scatter(1, labels, -torch.inf).amax(1)
    return (margin + rivals - outputs.gather(1, labels).squeeze(1)).clamp_min(0)


class Hinge(OfLabels):
    """Hinge loss: each wrong score that is not at least a margin below the right one counts by what it lacks.

    Outputs (N, C), targets (N,); or (N, length, C) and (N, length), where IGNORED is no label. The mean over samples of w[t]
    times, with w the class weights and s[i] = 1 for the label and -1 else,

    - weston_watkins: 1 / C · sum over i ≠ t of max(0, margin - y[t] + y[i]), as torch.nn.MultiMarginLoss ("Support vector
      machines for multi-class pattern recognition", 1999);
    - crammer_singer: max over i ≠ t of max(0, margin - y[t] + y[i]) ("On the algorithmic implementation of multiclass
      kernel-based vector machines", 2001), as scikit-learn's hinge_loss;
    - one_vs_rest: 1 / C · sum over all i of max(0, margin - s[i] · y[i]).

    The objective of scikit-learn's LinearSVC with its own C = c is ‖W‖² / 2 + c · N · C times one_vs_rest, or c · N times
    crammer_singer, over all N samples: the regularizer l2 of weight 1 / (2 · c · N · C), or 1 / (2 · c · N). Its intercept is
    penalised with W, and for two classes it trains one of the two machines.
    """

    power = 1

    def __init__(
        self,
        class_weights: Tensor | None = None,
        margin: Annotated[
            float, Range(1e-3, 1e3, log=True), "by how much the right score is to win, in the scores' unit"
        ] = 1.0,
        multiclass: Annotated[
            Literal["weston_watkins", "crammer_singer", "one_vs_rest"],
            "the right score is to win over each other one, over the best of them, or each class is to be told from the rest",
        ] = "weston_watkins",
    ):
        super().__init__(class_weights)
        self.margin = margin
        self.multiclass = multiclass

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        if self.multiclass == "crammer_singer":
            return lacks(outputs, labels, self.margin) ** self.power
        if self.multiclass == "one_vs_rest":
            violations = (self.margin - one_against_the_rest(outputs, labels)).clamp_min(0)
        else:
            right = labels.unsqueeze(1)
            violations = (self.margin - outputs.gather(1, right) + outputs).clamp_min(0).scatter(1, right, 0.0)
        return (violations**self.power).mean(1)


class SquaredHinge(Hinge):
    """Hinge loss with what each score lacks squared: smooth, and harder on large violations.

    Outputs (N, C), targets (N,); or (N, length, C) and (N, length), where IGNORED is no label. As hinge, with each max(0, …)
    squared; LinearSVC's objective with its own default loss follows by the same factors.
    """

    power = 2
