"""Counts."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from weft_basics.losses.precision import widened
from weft_basics.shapes import check_shapes


class PoissonNLL(nn.Module):
    """Negative log-likelihood of counts under Poisson distributions, the mean of exp(y) - t · y: outputs are log means.

    Outputs and targets (N, K), targets at least 0. Up to log t!, which no model can change. As torch.nn.PoissonNLLLoss. The
    targets are counts: a dataset must not bring them to mean 0. Metrics such as mae and r2 would hold the outputs, which are
    logarithms, against counts: they mean nothing here.

    Raises:
        ValueError: outputs and targets of different shapes. A target below 0 makes the loss NaN; `check` refuses it beforehand.
    """

    tasks = ("regression",)
    cannot: ClassVar = {"extremes": "outputs are logarithms of means: a hundred of them is past what a float holds"}

    def check(self, targets: Tensor) -> None:
        """Refuse targets that are no counts.

        Raises:
            ValueError: one is below 0.
        """
        negative = targets < 0
        if negative.any():
            raise ValueError(
                f"poisson_nll takes counts, of which none is below 0, and a target is {float(targets[negative][0]):g}: leave "
                "the dataset's targets in their own unit (standardize), or take another loss"
            )

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        check_shapes(outputs, targets)
        logarithms = widened(outputs)
        return (logarithms.exp() - targets.masked_fill(targets < 0, torch.nan) * logarithms).mean()
