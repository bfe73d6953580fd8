"""Gaussians, one for each class or component: what discriminant analysis, naive Bayes and mixtures are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from weft import Range, Run
from weft_basics.beside import DENSITY
from weft_basics.models.by_parts import by_parts, parts
from weft_basics.models.groups import Components, check_enough, groups
from weft_basics.models.numbers import numbers
from weft_basics.tasks import UNLABELLED

Distances = Callable[[Tensor], Tensor]
"""Returns squared distances (outputs, N), in units of the deviation, of offsets (outputs, N, numbers) from the means."""


class Gaussians(nn.Module):
    """A Gaussian for each output: the logarithms of p(x, c) = p(c) · N(x; mean of c, covariance of c).

    (N, *inputs) -> (N, outputs), in nats. With labels these are classes, and the loss joint_nll makes quadratic discriminant
    analysis of them; with covariance=tied linear discriminant analysis, with covariance=diagonal naive Bayes. With the loss
    cross_entropy the same model is fitted to tell classes apart, not to tell what samples look like. Without labels they are
    the components of a mixture, whose loss is mixture_nll. The optimizer em has each maximum in closed form. Hastie et al.,
    "The elements of statistical learning", 2009, sections 4.3, 6.6.3 and 8.5.

    A covariance is (1 - shrinkage) · S + (shrinkage + floor) · 1, where S is the weights' own, `roots` times its transpose: so
    none is singular, whatever the samples are. What rounding may have taken from it is added, a few units in the last place of
    each variance. scikit-learn calls the shrinkage reg_param, the floor reg_covar.

    Raises:
        ValueError: the samples are tokens; other components than classes.
    """

    tasks = ("classification", *UNLABELLED)
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

    def check(self, run: Run) -> None:
        """Raise a `ConfigError` where there are more components than samples."""
        check_enough(run)

    def forward(self, inputs: Tensor) -> Tensor:
        samples = inputs.flatten(1)
        with self._exactly(samples):
            distances, sizes = self._matrices() if self.roots.ndim == 3 else self._diagonals()
            normalizer = sizes + samples.shape[1] * math.log(2 * math.pi)

        def logarithms(part: Tensor) -> Tensor:
            with self._exactly(part):
                offsets = part.to(self.means.dtype) - self.means.unsqueeze(1)
                return self.priors.log_softmax(0) - 0.5 * (distances(offsets).T + normalizer)

        return by_parts(logarithms, samples, self.means.numel())

    def _exactly(self, samples: Tensor) -> torch.autocast:
        return torch.autocast(samples.device.type, enabled=False)  # a covariance in 16 bits may be none

    def _matrices(self) -> tuple[Distances, Tensor]:
        """Return what gives squared distances, and the covariances' log determinants (outputs,), or (1,) of one for all."""
        covariances = (1 - self.shrinkage) * self.roots @ self.roots.mT
        size = covariances.shape[1]
        identity = torch.eye(size, dtype=covariances.dtype, device=covariances.device)
        covariances = covariances + (self.shrinkage + self.floor) * identity
        # Numbers of all sizes are brought to a variance of 1: beside the largest, the smallest would be lost to rounding.
        deviations = covariances.diagonal(dim1=1, dim2=2).sqrt()
        correlations = covariances / (deviations.unsqueeze(2) * deviations.unsqueeze(1))
        rounding = 4 * size * torch.finfo(covariances.dtype).eps
        factors = torch.linalg.cholesky(correlations + rounding * identity)

        def distances(offsets: Tensor) -> Tensor:
            scaled = (offsets / deviations.unsqueeze(1)).mT
            return torch.linalg.solve_triangular(factors, scaled, upper=False).square().sum(1)

        return distances, 2 * (deviations * factors.diagonal(dim1=1, dim2=2)).log().sum(1)

    def _diagonals(self) -> tuple[Distances, Tensor]:
        """Return the same of covariances that are diagonal."""
        variances = (1 - self.shrinkage) * self.roots.square() + self.shrinkage + self.floor
        each = variances.expand(-1, self.means.shape[1])
        return lambda offsets: (offsets.square() / each.unsqueeze(1)).sum(2), each.log().sum(1)

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
        weights = shares / counts.clamp_min(tiny)
        if self.roots.ndim == 2:
            found = _summed(_squares, samples, weights, means)
            variances = share * found + (1 - share) * self.roots.square() + share * (1 - share) * step.square()
            roots = (variances.mean(1, keepdim=True) if self.covariance == "spherical" else variances).sqrt()
        else:
            share = share.unsqueeze(2)
            found = _summed(_products, samples, weights, means)
            between = share * (1 - share) * step.unsqueeze(2) * step.unsqueeze(1)
            covariances = share * found + (1 - share) * self.roots @ self.roots.mT + between
            if self.covariance == "tied":
                covariances = (priors[:, None, None] * covariances).sum(0, keepdim=True) / priors.sum()
            # In 64 bits, and where every machine has these: of a matrix of rank one MKL's may be NaN in 32, in silence.
            values, vectors = torch.linalg.eigh(covariances.cpu().double())
            roots = (vectors * values.clamp_min(0).sqrt().unsqueeze(1) @ vectors.mT).to(covariances)
        return {"priors": priors.log(), "means": self.means + share.reshape(-1, 1) * step, "roots": roots}


def _summed(of: Callable[[Tensor, Tensor], Tensor], samples: Tensor, weights: Tensor, means: Tensor) -> Tensor:
    """Return the sum over samples (N, numbers) of what `of` makes of their offsets (outputs, N, numbers) from the means, and of
    the weights (outputs, N)."""
    sizes = means.numel()
    found = zip(parts(samples, sizes), parts(weights, sizes), strict=True)
    sums = [of(some - means.unsqueeze(1), weight.T) for some, weight in found]
    return torch.stack(sums).sum(0) if len(sums) > 1 else sums[0]


def _squares(offsets: Tensor, weights: Tensor) -> Tensor:
    return (weights.unsqueeze(2) * offsets.square()).sum(1)


def _products(offsets: Tensor, weights: Tensor) -> Tensor:
    return (weights.unsqueeze(2) * offsets).mT @ offsets
