"""How probable samples are at least: two bounds of it, of which one is tighter."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from weft import Callback, ConfigError, Range
from weft_basics.beside import RECONSTRUCTION
from weft_basics.losses.precision import widened

_AT_ONCE = 2**24
"""Numbers of what is decoded at once, of as many draws as that."""


class EvidenceBounds(Callback):
    """Lower bounds of the log-likelihood of validation samples under a variational autoencoder, in nats, after every epoch.

    `valid/evidence_bound` is the mean over draws of log w, where w = p(x, z) / q(z | x) for a code z drawn from q, and
    `valid/importance_weighted_bound` the logarithm of the mean of w: never lower, and nearer the more draws there are (Burda et
    al., "Importance weighted autoencoders", 2016). The loss says how probable a sample is by its reconstruction. Draws are the
    same after every epoch, so that what rises is the model's.
    """

    beside: ClassVar[dict[str, Any]] = RECONSTRUCTION

    def __init__(self, draws: Annotated[int, Range(1, 100_000, log=True), "of codes for each sample"] = 64):
        self.draws = draws

    def check(self, run: Any) -> None:
        """Refuse a model without codes, and a loss without a likelihood of each sample.

        Raises:
            ConfigError: either of these.
        """
        if not (hasattr(run.model, "encode") and hasattr(run.model, "decoder")):
            raise ConfigError(f"callback=evidence_bounds: is for vae, and {type(run.model).__name__} has no codes")
        if not hasattr(run.loss, "of_each"):
            loss = run.configuration.one("loss").component.name
            raise ConfigError(
                f"callback=evidence_bounds: loss={loss} says of no sample how probable it is; take reconstruction_nll"
            )

    @torch.no_grad()
    def on_epoch_end(self, run: Any) -> None:
        """Record both bounds."""
        device = run.device.device
        generator = torch.Generator(device).manual_seed(0)
        sums: Tensor = torch.zeros(2, dtype=torch.float64, device=device)
        for inputs, targets in run.every("valid"):
            with run.device.autocast():
                means, log_deviations = (widened(part) for part in run.model.encode(inputs))
            together = max(1, _AT_ONCE // (len(inputs) * max(means[0].numel(), targets[0].numel())))
            bounds = []  # of some of the draws: as many as there is memory for
            for first in range(0, self.draws, together):
                draws = min(together, self.draws - first)
                noise = torch.randn((draws, *means.shape), generator=generator, dtype=means.dtype, device=device)
                codes = means + log_deviations.exp() * noise
                against_prior = ((noise.square() - codes.square()) / 2 + log_deviations).sum(-1)  # log p(z) - log q(z | x)
                with run.device.autocast():
                    decoded = run.model.decoder(codes)
                logarithms = against_prior.double() - run.loss.of_each(decoded, targets).double()
                bounds.append(torch.stack([logarithms.sum(0), logarithms.logsumexp(0)]))
            evidence, weighted = torch.stack(bounds, 1)
            sums += torch.stack([evidence.sum() / self.draws, (weighted.logsumexp(0) - math.log(self.draws)).sum()])
        evidence, weighted = sums / run.data.sizes()["valid"]
        run.log({"valid/evidence_bound": evidence, "valid/importance_weighted_bound": weighted})
