"""How probable samples are by what was made of them."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

from torch import Tensor, nn

from weft import Range
from weft_basics.beside import RECONSTRUCTION
from weft_basics.losses.precision import widened
from weft_basics.outputs import answer
from weft_basics.shapes import check_shapes


class ReconstructionNLL(nn.Module):
    """Negative log-likelihood of samples that are Gaussian about their reconstructions: the mean over samples, in nats.

    Targets (N, K) are the samples' own numbers, outputs (N, K) their reconstructions, or several outputs with these first. The
    sum over a sample's K numbers of ((y - t) / noise)² / 2 + log(noise · sqrt(2 pi)).

    Raises:
        ValueError: outputs and targets of different shapes.
    """

    tasks = ("reconstruction",)
    beside: ClassVar[dict[str, Any]] = RECONSTRUCTION

    def __init__(
        self,
        noise: Annotated[float, Range(1e-6, 1e6, log=True), "deviation of a number from its reconstruction"] = 0.2,
    ):
        super().__init__()
        self.noise = noise

    def forward(self, outputs: Any, targets: Tensor) -> Tensor:
        reconstructions = answer(outputs)
        check_shapes(reconstructions, targets)
        return self.of_each(reconstructions, targets).mean()

    def of_each(self, reconstructions: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood (…, N) of each sample (N, K) by its reconstructions (…, N, K)."""
        squares = ((widened(reconstructions) - targets) / self.noise).square().sum(-1)
        return squares / 2 + targets.shape[-1] * (math.log(self.noise) + 0.5 * math.log(2 * math.pi))
