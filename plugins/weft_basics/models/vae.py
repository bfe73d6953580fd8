"""A variational autoencoder: samples as a few numbers, of which new samples can be made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from weft import Choice, Range
from weft_basics.beside import RECONSTRUCTION
from weft_basics.models.numbers import numbers


class Encoded(NamedTuple):
    """What is made of samples: what they look like once decoded (N, outputs), and the Gaussian that each is encoded as, by its
    means and the logarithms of its deviations (N, latent)."""

    reconstructions: Tensor
    means: Tensor
    log_deviations: Tensor


class VAE(nn.Module):
    """An encoder to a Gaussian over a few numbers, and a decoder from a draw of it (variational autoencoder).

    (N, *inputs) -> Encoded. While it is trained each code is drawn, as mean + deviation · noise, through which gradients reach
    both; evaluated it is the mean. With the loss reconstruction_nll and the regularizer latent_divergence what is minimised is
    minus the evidence lower bound, for each sample. Kingma and Welling, "Auto-encoding variational Bayes", 2014.

    Raises:
        ValueError: the samples are tokens; outputs that aren't the samples' own numbers.
    """

    beside: ClassVar[dict[str, Any]] = RECONSTRUCTION

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        latent: Annotated[int, Range(1, 4096, log=True), "numbers of a code"] = 8,
        width: Annotated[int, Range(1, 65_536, log=True), "units of the hidden layer on either side"] = 128,
        activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "relu",  # type: ignore[assignment]
    ):
        super().__init__()
        size = numbers(inputs, vocabulary, "vae")
        if outputs != size:
            raise ValueError(
                f"vae gives back the {size} numbers of a sample, and here {outputs} are asked for: dataset=unlabelled "
                "dataset.task=reconstruction asks for them"
            )
        self.latent = latent
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, width), activation(), nn.Linear(width, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, width), activation(), nn.Linear(width, size))

    def forward(self, inputs: Tensor) -> Encoded:
        means, log_deviations = self.encode(inputs)
        codes = means + log_deviations.exp() * torch.randn_like(means) if self.training else means
        return Encoded(self.decoder(codes), means, log_deviations)

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log deviations (N, latent) of samples."""
        means, log_deviations = self.encoder(inputs).chunk(2, 1)
        return means, log_deviations
