"""A curved function of five numbers, hidden among others that mean nothing."""

from __future__ import annotations

from typing import Annotated

from sklearn.datasets import make_friedman1

from weft import Range
from weft_basics.datasets.dataset import Dataset, regression
from weft_basics.datasets.split import Test, Valid


def friedman(
    split_seed: int,
    samples: Annotated[int, Range(20, 1_000_000, log=True)] = 1000,
    features: Annotated[int, Range(5, 1000, log=True), "the first five matter"] = 10,
    noise: Annotated[float, Range(0, 100), "deviation of the target, which ranges from about 0 to 30"] = 1.0,
    seed: Annotated[int, Range(0, 2**32 - 1), "of the samples; the split has its own"] = 0,
    valid: Valid = 0.15,
    test: Test = 0.15,
) -> Dataset:
    """10 sin(π a b) + 20 (c - 1/2)² + 10 d + 5 e and noise, of numbers from 0 to 1 (Friedman 1991).

    The target is standardized: errors are in standard deviations of the training samples.
    """
    inputs, targets = make_friedman1(samples, features, noise=noise, random_state=seed)
    return regression(
        inputs,
        targets,
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=f"sklearn.datasets.make_friedman1({samples}, {features}, noise={noise:g}, random_state={seed})",
        standardize=True,
    )
