"""The contrastive loss."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from weft import Range
from weft_basics.losses.distances import alike, distances
from weft_basics.sequences import ONE_LABEL


def contrastive(
    outputs: Tensor,
    targets: Tensor,
    margin: Annotated[float, Range(1e-3, 1e3, log=True), "distance that is enough for different labels"] = 1.0,
) -> Tensor:
    """Contrastive loss: draws samples of the same label together, and others apart up to a margin.

    Outputs (N, D) are embeddings, D however many, and targets (N,) labels. The mean over all pairs of a batch of d² / 2 where
    the labels are the same, else max(0, margin - d)² / 2, with d the Euclidean distance; 0 for a batch of one sample. The
    outputs are no scores of classes: metrics that take them for such mean nothing. Hadsell, Chopra and LeCun,
    "Dimensionality reduction by learning an invariant mapping", 2006.
    """
    apart = distances(outputs)
    losses = torch.where(alike(targets), apart, (margin - apart).clamp_min(0)).square() / 2
    # Each pair is there twice, and each sample once with itself, at distance 0.
    return losses.sum() / max(1, len(targets) * (len(targets) - 1))


contrastive.tasks = ONE_LABEL  # type: ignore[attr-defined]
contrastive.compares_samples = True  # type: ignore[attr-defined]
