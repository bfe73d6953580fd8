"""A linear model of random features that stand for a Gaussian kernel."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from weft import Range
from weft_basics.models.numbers import numbers


class RBF(nn.Module):
    """Random Fourier features of a Gaussian kernel, then a linear layer: with hinge and l2 a support vector machine.

    (N, *inputs) -> (N, outputs). Two samples' features have a product of about exp(-gamma · |x - y|²), the nearer the more of
    them there are. They are drawn once and not trained: sqrt(2 / features) · cos(x · w + b), w normal with deviation
    sqrt(2 gamma), b uniform from 0 to 2 pi. Rahimi and Recht, "Random features for large-scale kernel machines", 2007.

    Raises:
        ValueError: the samples are tokens.
    """

    frequencies: Tensor
    phases: Tensor

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        features: Annotated[int, Range(1, 1_000_000, log=True), "how many are drawn"] = 1000,
        gamma: Annotated[
            float | None, Range(1e-6, 1e6, log=True), "1 / (2 · the kernel's width²); null: 1 / numbers in a sample"
        ] = None,
    ):
        super().__init__()
        size = numbers(inputs, vocabulary, "rbf")
        deviation = math.sqrt(2 * (1 / size if gamma is None else gamma))
        self.register_buffer("frequencies", torch.randn(size, features) * deviation)
        self.register_buffer("phases", torch.rand(features) * 2 * math.pi)
        self.output = nn.Linear(features, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        waves = torch.cos(inputs.flatten(1) @ self.frequencies + self.phases)
        outputs: Tensor = self.output(math.sqrt(2 / len(self.phases)) * waves)
        return outputs
