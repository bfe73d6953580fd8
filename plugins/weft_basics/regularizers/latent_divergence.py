"""What it costs to encode a sample otherwise than as noise."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from torch import Tensor, nn

from weft import Range
from weft_basics.beside import RECONSTRUCTION
from weft_basics.losses.precision import widened


class LatentDivergence:
    """The Kullback-Leibler divergence of each sample's code from a standard Gaussian, the mean over samples, in nats.

    In closed form: the sum over a code's numbers of (mean² + deviation² - 1) / 2 - log deviation. With a weight of 1 and a loss
    that is a negative log-likelihood the sum is minus the evidence lower bound; with more it is a beta-VAE's (Higgins et al.,
    "beta-VAE", 2017).

    Raises:
        ValueError: the model encodes nothing.
    """

    tasks = ("reconstruction",)
    beside: ClassVar[dict[str, Any]] = RECONSTRUCTION

    def __init__(self, model: nn.Module, weight: Annotated[float, Range(0, 1000), "beta; 1 is the bound's own"] = 1.0):
        if not hasattr(model, "encode"):
            raise ValueError(
                f"latent_divergence is for models that encode samples, such as vae, and {type(model).__name__} doesn't"
            )
        self.weight = weight

    def penalty(self, model: nn.Module, outputs: Any) -> Tensor:
        """Return the mean of the divergences, a scalar; of outputs it takes `means` and `log_deviations` (N, latent)."""
        found: Tensor = self.weight * divergence(outputs.means, outputs.log_deviations).mean()
        return found


def divergence(means: Tensor, log_deviations: Tensor) -> Tensor:
    """Return the divergence (N,) of each sample's code, of means and log deviations (N, latent)."""
    means, log_deviations = widened(means), widened(log_deviations)  # in 16 bits it may come out below zero
    return ((means.square() + (2 * log_deviations).exp() - 1) / 2 - log_deviations).sum(1)
