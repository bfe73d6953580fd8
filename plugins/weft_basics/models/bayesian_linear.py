"""A linear model whose weights are a distribution."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from weft import Range
from weft_basics.models.numbers import numbers


class BayesianLinear(nn.Module):
    """One linear layer with a Gaussian in place of its weights: a belief about them, which training brings to the posterior.

    (N, *inputs) -> (N, outputs). While it is trained each output is drawn: from what the weights, drawn anew for each sample,
    would make of it, which is a Gaussian as well, so that the noise of gradients is small (local reparameterization; Kingma et
    al., "Variational dropout and the local reparameterization trick", 2015). Evaluated it answers with its mean. Beforehand
    weights are Gaussian with mean 0 and deviation `prior`, the bias too. The regularizer weight_divergence is the other half of
    what is to be minimised; the loss gaussian_nll is the first. Blundell et al., "Weight uncertainty in neural networks", 2015.

    Raises:
        ValueError: the samples are tokens.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        covariance: Annotated[
            Literal["full", "diagonal"],
            "whether weights of an output know of each other; if not, they are surer than they can be",
        ] = "full",
        prior: Annotated[float, Range(1e-6, 1e6, log=True), "deviation of each weight beforehand"] = 1.0,
        begin: Annotated[float, Range(1e-6, 1e6, log=True), "deviation of each weight that training begins with"] = 0.1,
    ):
        super().__init__()
        weights = numbers(inputs, vocabulary, "bayesian_linear") + 1
        self.prior = prior
        self.means = nn.Parameter(torch.zeros(outputs, weights))
        self.log_deviations = nn.Parameter(torch.full((outputs, weights), math.log(begin)))
        self.dependence = nn.Parameter(torch.zeros(outputs, weights, weights)) if covariance == "full" else None

    def forward(self, inputs: Tensor) -> Tensor:
        samples = nn.functional.pad(inputs.flatten(1), (0, 1), value=1.0)  # the last weight is the bias
        means: Tensor = samples @ self.means.T
        if not self.training:
            return means
        deviations = (samples @ self._factors()).norm(dim=2).T
        return means + deviations * torch.randn_like(means)

    def covariances(self) -> Tensor:
        """Return the covariance of each output's weights, of which the last is the bias: (outputs, weights, weights)."""
        factors = self._factors()
        return factors @ factors.mT

    def _factors(self) -> Tensor:
        """Return the lower triangle of which each covariance is the square."""
        deviations = torch.diag_embed(self.log_deviations.exp())
        return deviations if self.dependence is None else deviations + self.dependence.tril(-1)

    def divergence(self) -> Tensor:
        """Return the Kullback-Leibler divergence of the weights from what they were beforehand, in nats."""
        squares = (self._factors().square().sum() + self.means.square().sum()) / self.prior**2
        return 0.5 * (squares - self.means.numel()) - (self.log_deviations - math.log(self.prior)).sum()
