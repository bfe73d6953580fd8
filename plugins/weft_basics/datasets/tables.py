"""The small tables that come with scikit-learn: columns brought to mean 0 and deviation 1 by the training samples."""

from __future__ import annotations

from weft_basics.datasets.dataset import Dataset, classification, regression
from weft_basics.datasets.scikit_learn import classes, table
from weft_basics.datasets.split import Test, Valid


def iris(split_seed: int, valid: Valid = 0.15, test: Test = 0.15) -> Dataset:
    """150 irises of three species by four lengths (Fisher 1936)."""
    return _classes("iris", "iris.csv", split_seed, valid, test)


def wine(split_seed: int, valid: Valid = 0.15, test: Test = 0.15) -> Dataset:
    """178 wines of three growers by thirteen chemical measurements (Forina et al. 1988)."""
    return _classes("wine", "wine_data.csv", split_seed, valid, test)


def breast_cancer(split_seed: int, valid: Valid = 0.15, test: Test = 0.15) -> Dataset:
    """569 tumours, malignant or benign, by thirty measurements of their cells (Street et al. 1993)."""
    return _classes("breast_cancer", "breast_cancer.csv", split_seed, valid, test)


def diabetes(split_seed: int, valid: Valid = 0.15, test: Test = 0.15) -> Dataset:
    """442 patients: how far diabetes went within a year, by ten measurements (Efron et al. 2004).

    The target is standardized like the columns: errors are in standard deviations of the training samples.
    """
    return regression(
        table("diabetes_data_raw.csv.gz", " "),
        table("diabetes_target.csv.gz", " "),
        valid=valid,
        test=test,
        split_seed=split_seed,
        source="sklearn.datasets.load_diabetes",
        standardize=True,
    )


def _classes(name: str, file: str, split_seed: int, valid: float, test: float) -> Dataset:
    samples, labels, names = classes(file)
    return classification(
        samples,
        labels,
        names,
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=f"sklearn.datasets.load_{name}",
        standardize=True,
    )
