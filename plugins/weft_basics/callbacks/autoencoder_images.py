"""What an autoencoder has learnt, to look at: samples with their reconstructions, and new ones."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from weft import Callback, ConfigError, Range
from weft_basics.beside import RECONSTRUCTION
from weft_basics.outputs import answer

_LEAST = 32
"""Pixels across a sample, which is enlarged where it has fewer: a page shows it as large as it is."""


class AutoencoderImages(Callback):
    """Images of an autoencoder in MLflow: validation samples with their reconstructions, and new samples.

    `images/reconstructions` has samples in its upper row and what is made of them in the lower one. `images/samples` are
    decoded from codes drawn from the prior, a standard Gaussian, where the model has a decoder (`vae`); the codes are the same
    each time, so that one can see what becomes of each. Drawn after the first epoch, every few, and in the end.
    """

    beside: ClassVar[dict[str, Any]] = RECONSTRUCTION

    def __init__(
        self,
        every: Annotated[int, Range(1, 1_000_000, log=True), "epochs from one to the next"] = 10,
        columns: Annotated[int, Range(1, 64), "samples in a row"] = 12,
    ):
        self.every = every
        self.columns = columns

    def check(self, run: Any) -> None:
        """Refuse a task other than reconstruction, and samples that are no images.

        Raises:
            ConfigError: either of these.
        """
        if run.data.task != "reconstruction":
            raise ConfigError(
                f"callback=autoencoder_images: is for reconstruction, and dataset {run.data.name} is {run.data.task}"
            )
        shape = run.data.inputs
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] not in (1, 3)):
            raise ConfigError(
                f"callback=autoencoder_images: samples of shape {list(shape)} are no images: "
                "those are [height, width], [1, height, width] or [3, height, width]"
            )

    def on_epoch_end(self, run: Any) -> None:
        """Draw after the first epoch, and every few."""
        if self._is_due(run):
            self._draw(run)

    def on_fit_end(self, run: Any) -> None:
        """Draw what it has become, where its last epoch hasn't been."""
        if not self._is_due(run):
            self._draw(run)

    def _is_due(self, run: Any) -> bool:
        return bool(run.epoch == 1 or run.epoch % self.every == 0)

    @torch.no_grad()
    def _draw(self, run: Any) -> None:
        samples = run.data.splits["valid"][0][: self.columns]
        lowest, highest = samples.min(), samples.max()

        def drawn(rows: Tensor) -> Tensor:
            images = rows.float().unflatten(1, run.data.inputs)
            return _grid((images - lowest) / (highest - lowest).clamp_min(1e-12), len(samples))

        run.model.eval()
        with run.device.autocast():
            made = answer(run.forward(samples))
            run.image("images/reconstructions", drawn(torch.cat([samples.flatten(1), made])))
            if hasattr(run.model, "decoder") and hasattr(run.model, "latent"):
                generator = torch.Generator().manual_seed(0)
                codes = torch.randn(4 * len(samples), run.model.latent, generator=generator, dtype=samples.dtype)
                run.image("images/samples", drawn(run.model.decoder(codes.to(samples.device))))


def _grid(images: Tensor, columns: int) -> Tensor:
    """Return images (N, H, W) or (N, C, H, W) as one (height, width, C), with a line between them."""
    images = images if images.ndim == 4 else images[:, None]
    larger = max(1, _LEAST // max(images.shape[-2:]))
    images = pad(images.repeat_interleave(larger, -1).repeat_interleave(larger, -2), (0, 2, 0, 2), value=1.0)
    rows = [torch.cat([*row], -1) for row in images.split(columns)]
    return torch.cat(rows, -2).movedim(0, -1)
