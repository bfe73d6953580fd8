"""Losses of what has no label: the likelihood of a mixture, and the distance to the nearest of some points."""

from __future__ import annotations

from torch import Tensor

from weft_basics.beside import CLUSTERING, DENSITY
from weft_basics.losses.precision import widened


def mixture_nll(outputs: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of samples under a mixture: the mean of -log of the sum over c of p(x, c), in nats.

    Outputs (N, K) are the logarithms of p(x, c), as gaussians gives them. Targets are not looked at.
    """
    return -widened(outputs).logsumexp(1).mean()


def distortion(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean of each sample's squared distance to the nearest centroid: k-means's inertia over the number of samples.

    Outputs (N, K) are minus the squared distances, as kmeans gives them. Targets are not looked at.
    """
    return -widened(outputs).amax(1).mean()


mixture_nll.tasks = ("density", "clustering")  # type: ignore[attr-defined]
distortion.tasks = ("clustering",)  # type: ignore[attr-defined]
mixture_nll.beside = DENSITY | {"model": {"name": "gaussians"}}  # type: ignore[attr-defined]
distortion.beside = CLUSTERING | {"model": {"name": "kmeans"}}  # type: ignore[attr-defined]
