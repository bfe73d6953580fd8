"""scikit-learn's own datasets: real data, on disk with the library."""

from typing import Any

from sklearn import datasets

from weft_basics.datasets.split import Classes, Numbers, Share


def digits(split_seed: int, valid: Share = 0.15, test: Share = 0.15) -> Classes:
    """1,797 handwritten digits, images of 1×8×8 from 0 to 1, ten classes (Alpaydin and Kaynak 1998)."""
    found = datasets.load_digits()
    images = found.images[:, None] / 16.0
    return Classes(images, found.target, _names(found), "sklearn.datasets.load_digits", valid, test, split_seed, table=False)


def iris(split_seed: int, valid: Share = 0.15, test: Share = 0.15) -> Classes:
    """150 flowers by four lengths, three species (Fisher 1936)."""
    return _classes("load_iris", split_seed, valid, test)


def wine(split_seed: int, valid: Share = 0.15, test: Share = 0.15) -> Classes:
    """178 wines by thirteen measurements, three growers (Forina et al. 1991)."""
    return _classes("load_wine", split_seed, valid, test)


def breast_cancer(split_seed: int, valid: Share = 0.15, test: Share = 0.15) -> Classes:
    """569 tumours by thirty measurements, malignant or benign (Street et al. 1993)."""
    return _classes("load_breast_cancer", split_seed, valid, test)


def diabetes(split_seed: int, valid: Share = 0.15, test: Share = 0.15) -> Numbers:
    """442 patients by ten measurements, and the progress of their diabetes after a year (Efron et al. 2004)."""
    found = datasets.load_diabetes()
    return Numbers(found.data, found.target, "sklearn.datasets.load_diabetes", valid, test, split_seed)


def _classes(loader: str, seed: int, valid: float, test: float) -> Classes:
    found = getattr(datasets, loader)()
    return Classes(found.data, found.target, _names(found), f"sklearn.datasets.{loader}", valid, test, seed, table=True)


def _names(found: Any) -> list[str]:
    return [str(name) for name in found.target_names]
