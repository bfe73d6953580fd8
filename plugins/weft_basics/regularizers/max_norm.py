"""A limit to the weights of a unit."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import nn

from weft import Range
from weft_basics.regularizers.penalties import weights


class MaxNorm:
    """After each step, the weights that enter a unit are scaled down to a Euclidean norm of at most `limit`.

    A unit is an index of a weight's first dimension: a row of a matrix, a filter of a convolution, a token of an embedding.
    Biases are left alone. Srebro and Shraibman 2005; with dropout in Srivastava et al. 2014.
    """

    def __init__(self, limit: Annotated[float, Range(1e-3, 1e3, log=True), "largest norm of a unit's weights"] = 3.0):
        self.limit = limit

    @torch.no_grad()
    def weights(self, model: nn.Module) -> None:
        """Scale down what is above the limit, in place."""
        for parameter in weights(model):
            parameter.renorm_(2, 0, self.limit)
