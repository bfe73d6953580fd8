"""The small tables that come with scikit-learn: columns brought to mean 0 and deviation 1 by the training samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from weft_basics.datasets.dataset import Dataset, classification, regression
from weft_basics.datasets.split import Test, Valid


def iris(split_seed: int, valid: Valid = 0.15, test: Test = 0.15) -> Dataset:
    """150 irises of three species by four lengths (Fisher 1936)."""
    return _classes(load_iris, split_seed, valid, test)


def wine(split_seed: int, valid: Valid = 0.15, test: Test = 0.15) -> Dataset:
    """178 wines of three growers by thirteen chemical measurements (Forina et al. 1988)."""
    return _classes(load_wine, split_seed, valid, test)


def breast_cancer(split_seed: int, valid: Valid = 0.15, test: Test = 0.15) -> Dataset:
    """569 tumours, malignant or benign, by thirty measurements of their cells (Street et al. 1993)."""
    return _classes(load_breast_cancer, split_seed, valid, test)


def diabetes(split_seed: int, valid: Valid = 0.15, test: Test = 0.15) -> Dataset:
    """442 patients: how far diabetes went within a year, by ten measurements (Efron et al. 2004).

    The target is standardized like the columns: errors are in standard deviations of the training samples.
    """
    bunch = load_diabetes(scaled=False)
    return regression(
        bunch.data,
        bunch.target,
        valid=valid,
        test=test,
        split_seed=split_seed,
        source="sklearn.datasets.load_diabetes",
        standardize=True,
    )


def _classes(load: Callable[[], Any], split_seed: int, valid: float, test: float) -> Dataset:
    bunch = load()
    return classification(
        bunch.data,
        bunch.target,
        [str(name) for name in bunch.target_names],
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=f"sklearn.datasets.{load.__name__}",
        standardize=True,
    )
