"""Points that a straight line separates, and points that none does: what a perceptron can learn, and what it can't."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from weft import Range
from weft_basics.datasets.dataset import Dataset, classification
from weft_basics.datasets.split import Test, Valid

Samples = Annotated[int, Range(20, 1_000_000, log=True)]
Seed = Annotated[int, Range(0, 2**32 - 1), "of the points; the split has its own"]


def separable(
    split_seed: int,
    samples: Samples = 500,
    dimensions: Annotated[int, Range(1, 10_000, log=True)] = 2,
    margin: Annotated[float, Range(0.001, 0.9), "between the plane and the nearest points"] = 0.05,
    seed: Seed = 0,
    valid: Valid = 0.15,
    test: Test = 0.15,
) -> Dataset:
    """Points on either side of a plane through the origin; two classes."""
    generator = np.random.default_rng(seed)
    normal = generator.normal(size=dimensions)
    normal /= np.linalg.norm(normal)
    points = generator.uniform(-1, 1, size=(samples, dimensions))
    sides = generator.permutation(np.arange(samples) % 2)
    # Each point keeps its place along the plane; how far it lies from it is drawn anew, so that none is too near.
    distances = np.where(sides, 1, -1) * generator.uniform(margin, 1, size=samples)
    points += np.outer(distances - points @ normal, normal)
    return classification(
        points,
        sides,
        ["below", "above"],
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=f"weft_basics.separable({samples}, dimensions={dimensions}, margin={margin:g}, seed={seed})",
    )


def xor(
    split_seed: int,
    samples: Samples = 400,
    noise: Annotated[float, Range(0, 10), "deviation of the points about the corners, which are at -1 and 1"] = 0.2,
    seed: Seed = 0,
    valid: Valid = 0.15,
    test: Test = 0.15,
) -> Dataset:
    """Points about the four corners of a square; two classes, alike where corners face each other.

    No line has more than three of the corners right: the exclusive or, which a single neuron can't learn (Minsky and Papert,
    "Perceptrons", 1969).
    """
    generator = np.random.default_rng(seed)
    corners = generator.permutation(np.arange(samples) % 4)
    ends = np.stack([corners // 2, corners % 2], axis=1)
    points = 2.0 * ends - 1 + noise * generator.normal(size=ends.shape)
    return classification(
        points,
        (ends[:, 0] != ends[:, 1]).astype(np.int64),
        ["same", "different"],
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=f"weft_basics.xor({samples}, noise={noise:g}, seed={seed})",
    )
