"""A bound on the weights that lead to one unit."""

from typing import Annotated

import torch
from torch import nn

from weft import Range


class MaxNorm:
    """After each step, scales down the weights into a unit whose norm exceeds `limit` (Srebro and Shraibman 2005).

    The weights into a unit are a row of a matrix, or a filter of a convolution; biases are left alone.
    """

    def __init__(self, limit: Annotated[float, Range(1e-6, 1e6, log=True), "greatest norm"] = 3.0):
        self.limit = limit

    @torch.no_grad()
    def weights(self, model: nn.Module) -> None:
        """Project every weight."""
        for parameter in model.parameters():
            if parameter.dim() > 1:
                norms = parameter.flatten(1).norm(dim=1).clamp_min(1e-12)
                scale = (self.limit / norms).clamp_max(1.0)
                parameter.mul_(scale.view(-1, *[1] * (parameter.dim() - 1)))
