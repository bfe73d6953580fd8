"""How far the samples of a batch are from each other."""

from __future__ import annotations

import torch
from torch import Tensor

from weft_basics.losses.precision import widened


def distances(points: Tensor) -> Tensor:
    """Return the Euclidean distances (N, N) of points (N, D). Their gradient is 0 where two points are the same."""
    points = widened(points)
    # The faster way by a matrix product would lose what is small against the points' own size.
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def alike(labels: Tensor) -> Tensor:
    """Return which of (N, N) pairs have the same label, each sample with itself included."""
    return labels.unsqueeze(0) == labels.unsqueeze(1)
