"""Two classes that no straight line separates."""

from __future__ import annotations

from typing import Annotated

from sklearn.datasets import make_moons

from weft import Range
from weft_basics.datasets.dataset import Dataset, classification
from weft_basics.datasets.split import Test, Valid


def two_moons(
    split_seed: int,
    samples: Annotated[int, Range(20, 1_000_000, log=True)] = 1000,
    noise: Annotated[float, Range(0, 10), "deviation of the points; a moon's radius is 1"] = 0.2,
    seed: Annotated[int, Range(0, 2**32 - 1), "of the points; the split has its own"] = 0,
    valid: Valid = 0.15,
    test: Test = 0.15,
) -> Dataset:
    """Points in the plane along two half circles that reach into each other; two classes."""
    points, labels = make_moons(samples, noise=noise, random_state=seed)
    return classification(
        points,
        labels,
        ["upper", "lower"],
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=f"sklearn.datasets.make_moons({samples}, noise={noise:g}, random_state={seed})",
    )
