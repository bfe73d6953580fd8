"""Gaussians, one for each class or component: what discriminant analysis, naive Bayes and mixtures are made of."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from weft import Range
from weft_basics.beside import DENSITY
from weft_basics.models.groups import Components, groups
from weft_basics.models.numbers import numbers


class Gaussians(nn.Module):
    """A Gaussian for each output: the logarithms of p(x, c) = p(c) · N(x; mean of c, covariance of c).

    (N, *inputs) -> (N, outputs), in nats. With labels these are classes, and the loss joint_nll makes quadratic discriminant
    analysis of them; with covariance=tied linear discriminant analysis, with covariance=diagonal naive Bayes. With the loss
    cross_entropy the same model is fitted to tell classes apart, not to tell what samples look like. Without labels they are
    the components of a mixture, whose loss is mixture_nll. The optimizer em has each maximum in closed form. Hastie et al.,
    "The elements of statistical learning", 2009, sections 4.3, 6.6.3 and 8.5.

    A covariance is (1 - shrinkage) · S + (shrinkage + floor) · 1, where S is the weights' own, `roots` times its transpose: so
    none is singular, whatever the samples are. scikit-learn calls the shrinkage reg_param, the floor reg_covar.

    Raises:
        ValueError: the samples are tokens; other components than classes.
    """

    beside: ClassVar[dict[str, Any]] = DENSITY

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        task: str = "classification",
        components: Components = None,
        covariance: Annotated[
            Literal["full", "tied", "diagonal", "spherical"],
            "one for each output, one for all, each number by itself, or one number for all numbers",
        ] = "full",
        shrinkage: Annotated[float, Range(0, 1), "share of the identity in each covariance"] = 0.0,
        floor: Annotated[float, Range(1e-12, 1, log=True), "variance that is added to each number's"] = 1e-6,
    ):
        super().__init__()
        size = numbers(inputs, vocabulary, "gaussians")
        outputs = groups(components, outputs, task)
        self.covariance = covariance
        self.shrinkage = shrinkage
        self.floor = floor
        self.priors = nn.Parameter(torch.zeros(outputs))
        self.means = nn.Parameter(torch.randn(outputs, size))
        self.roots = nn.Parameter(
            torch.ones(outputs, 1 if covariance == "spherical" else size)
            if covariance in ("diagonal", "spherical")
            else torch.eye(size).repeat(1 if covariance == "tied" else outputs, 1, 1)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        samples = inputs.flatten(1)
        with torch.autocast(samples.device.type, enabled=False):  # a covariance in 16 bits may be none
            offsets = samples.to(self.means.dtype) - self.means.unsqueeze(1)
            distances, sizes = self._matrices(offsets) if self.roots.ndim == 3 else self._diagonals(offsets)
            normalizer = sizes.unsqueeze(1) + samples.shape[1] * math.log(2 * math.pi)
            found: Tensor = self.priors.log_softmax(0) - 0.5 * (distances + normalizer).T
        return found

    def _matrices(self, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the squared distances (outputs, N) of offsets (outputs, N, numbers) in units of the deviation, and the
        covariances' log determinants."""
        own = (1 - self.shrinkage) * self.roots @ self.roots.mT
        # What is next to nothing beside the largest variance is lost to rounding, and may come out below zero.
        rounding = 4 * torch.finfo(own.dtype).eps * own.detach().diagonal(dim1=1, dim2=2).sum(1)
        added = (self.shrinkage + self.floor + rounding).unsqueeze(1).expand(-1, own.shape[1])
        factors = torch.linalg.cholesky(own + torch.diag_embed(added))
        found = torch.linalg.solve_triangular(factors, offsets.mT, upper=False)
        return found.square().sum(1), 2 * factors.diagonal(dim1=1, dim2=2).log().sum(1)

    def _diagonals(self, offsets: Tensor) -> tuple[Tensor, Tensor]:
        variances = (1 - self.shrinkage) * self.roots.square() + self.shrinkage + self.floor
        each = variances.expand(-1, offsets.shape[2])
        return (offsets.square() / each.unsqueeze(1)).sum(2), each.log().sum(1)

    @property
    def components(self) -> int:
        return len(self.means)

    @torch.no_grad()
    def begin_at(self, samples: Tensor) -> None:
        """Put the means, or as many of them as there are samples, at samples (N, *inputs)."""
        self.means[: len(samples)] = samples.flatten(1).to(self.means.dtype)

    @torch.no_grad()
    def maximized(self, inputs: Tensor, shares: Tensor, rate: float) -> dict[str, Tensor]:
        """Return the weights under which samples are most likely, by name: what the optimizer em takes.

        What an output has none of keeps its mean and covariance, with a prior of next to nothing.

        Args:
            inputs: samples (N, *inputs).
            shares: how much of each sample is each output's, (N, outputs), not below zero.
            rate: how much these samples count for, beside those that the weights as they are stand for.
        """
        samples, shares = inputs.flatten(1).to(self.means.dtype), shares.to(self.means.dtype)
        tiny = torch.finfo(shares.dtype).tiny
        counts = shares.sum(0)
        means = shares.T @ samples / counts.clamp_min(tiny).unsqueeze(1)
        old, new = (1 - rate) * self.priors.softmax(0), rate * counts / counts.sum()
        priors = (old + new).clamp_min(tiny)
        share = (new / priors).unsqueeze(1)  # of the new samples in each output
        step = means - self.means
        offsets = samples - means.unsqueeze(1)
        weights = (shares / counts.clamp_min(tiny)).T
        if self.roots.ndim == 2:
            found = (weights.unsqueeze(2) * offsets.square()).sum(1)
            variances = share * found + (1 - share) * self.roots.square() + share * (1 - share) * step.square()
            roots = (variances.mean(1, keepdim=True) if self.covariance == "spherical" else variances).sqrt()
        else:
            share = share.unsqueeze(2)
            found = (weights.unsqueeze(2) * offsets).mT @ offsets
            between = share * (1 - share) * step.unsqueeze(2) * step.unsqueeze(1)
            covariances = share * found + (1 - share) * self.roots @ self.roots.mT + between
            if self.covariance == "tied":
                covariances = (priors[:, None, None] * covariances).sum(0, keepdim=True) / priors.sum()
            values, vectors = torch.linalg.eigh(covariances)
            roots = vectors * values.clamp_min(0).sqrt().unsqueeze(1) @ vectors.mT
        return {"priors": priors.log(), "means": self.means + share.reshape(-1, 1) * step, "roots": roots}
