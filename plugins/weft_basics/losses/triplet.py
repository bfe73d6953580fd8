"""The triplet loss."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from weft import Range
from weft_basics.losses.distances import alike, distances
from weft_basics.sequences import ONE_LABEL


def triplet(
    outputs: Tensor,
    targets: Tensor,
    margin: Annotated[
        float | None, Range(1e-3, 1e3, log=True), "by how much the other label is to be farther; null: as far as can be, softly"
    ] = None,
) -> Tensor:
    """Triplet loss: the farthest sample of the same label is to be nearer than the nearest sample of another.

    Outputs (N, D) are embeddings, D however many, and targets (N,) labels. The mean over the samples of a batch of
    log(1 + exp(p - n)), or with a margin of max(0, margin + p - n), where p is the Euclidean distance to the farthest of the
    same label and n that to the nearest of another. Samples that lack one of the two don't count; a batch without any other
    has 0. The more samples in a batch, the harder its hardest: evaluation takes more than training, and has more loss. The
    outputs are no scores of classes: metrics that take them for such mean nothing. The "batch hard" variant of Hermans, Beyer
    and Leibe, "In defense of the triplet loss for person re-identification", 2017, and their soft margin.
    """
    apart, same = distances(outputs), alike(targets)
    alone = same.sum(1) == 1
    # Where all labels are the same, the nearest of another is infinitely far: there is nothing lacking.
    lacks = apart.masked_fill(~same, 0).amax(1) - apart.masked_fill(same, torch.inf).amin(1)
    losses = functional.softplus(lacks) if margin is None else (margin + lacks).clamp_min(0)
    return losses.masked_fill(alone, 0).sum() / (~alone).sum().clamp_min(1)


triplet.tasks = ONE_LABEL  # type: ignore[attr-defined]
triplet.compares_samples = True  # type: ignore[attr-defined]
