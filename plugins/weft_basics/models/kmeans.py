"""Points that samples are near to."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from weft import Range, Run
from weft_basics.beside import CLUSTERING
from weft_basics.models.by_parts import by_parts
from weft_basics.models.groups import Components, check_enough, groups
from weft_basics.models.numbers import numbers
from weft_basics.tasks import UNLABELLED


class KMeans(nn.Module):
    """Centroids: minus the squared distance of a sample to each of them, so that the highest is the nearest one's.

    (N, *inputs) -> (N, components). With the loss distortion this is k-means: by the optimizer em the steps are Lloyd's
    ("Least squares quantization in PCM", 1982), by gradients on parts of the samples they are those of Bottou and Bengio
    ("Convergence properties of the k-means algorithms", 1995). Under em with a rate of 1 a centroid that no sample is nearest
    to goes to the one that is farthest from its own; with a lower rate, where a batch is a part of the samples, and by
    gradients it stays where it is.

    Raises:
        ValueError: the samples are tokens; other components than classes.
    """

    tasks = ("classification", *UNLABELLED)
    beside: ClassVar[dict[str, Any]] = CLUSTERING

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        task: str = "clustering",
        components: Components = None,
        begin: Annotated[float, Range(1e-6, 1e6, log=True), "deviation of the centroids that training begins with"] = 1.0,
    ):
        super().__init__()
        size = numbers(inputs, vocabulary, "kmeans")
        self.centroids = nn.Parameter(begin * torch.randn(groups(components, outputs, task), size))

    def check(self, run: Run) -> None:
        """Raise a `ConfigError` where there are more components than samples."""
        check_enough(run)

    def forward(self, inputs: Tensor) -> Tensor:
        return by_parts(self._nearness, inputs.flatten(1), self.centroids.numel())

    def _nearness(self, samples: Tensor) -> Tensor:
        with torch.autocast(samples.device.type, enabled=False):  # distances are differences of larger numbers
            offsets = samples.to(self.centroids.dtype).unsqueeze(1) - self.centroids
            return -offsets.square().sum(2)

    @property
    def components(self) -> int:
        return len(self.centroids)

    @torch.no_grad()
    def begin_at(self, samples: Tensor) -> None:
        """Put the centroids, or as many of them as there are samples, at samples (N, *inputs)."""
        self.centroids[: len(samples)] = samples.flatten(1).to(self.centroids.dtype)

    @torch.no_grad()
    def maximized(self, inputs: Tensor, shares: Tensor, rate: float) -> dict[str, Tensor]:
        """Return the centroids of samples (N, *inputs), by their shares (N, components), `rate` of the way: for the optimizer
        em."""
        samples, shares = inputs.flatten(1).to(self.centroids.dtype), shares.to(self.centroids.dtype)
        counts = shares.sum(0)
        empty = torch.nonzero(counts == 0).flatten()[: len(samples)]
        if rate == 1 and len(empty):
            far = -self(inputs).amax(1)
            moved = far.topk(len(empty)).indices
            shares = shares.clone()
            shares[moved] = 0
            shares[moved, empty] = 1
            counts = shares.sum(0)
        means = shares.T @ samples / counts.clamp_min(torch.finfo(shares.dtype).tiny).unsqueeze(1)
        return {"centroids": torch.where(counts.unsqueeze(1) > 0, self.centroids.lerp(means, rate), self.centroids)}
