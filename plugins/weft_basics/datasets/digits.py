"""Small images of digits."""

from __future__ import annotations

from sklearn.datasets import load_digits

from weft_basics.datasets.dataset import Dataset, classification
from weft_basics.datasets.split import Test, Valid


def digits(split_seed: int, valid: Valid = 0.15, test: Test = 0.15) -> Dataset:
    """1797 handwritten digits of 8 x 8 pixels, from 0 (white) to 1 (black); ten classes.

    From scikit-learn; UCI's "Optical recognition of handwritten digits", Alpaydin and Kaynak 1998.

    Raises:
        ValueError: shares that leave nothing for training.
    """
    bunch = load_digits()
    return classification(
        bunch.images[:, None] / 16,
        bunch.target,
        [str(name) for name in bunch.target_names],
        valid=valid,
        test=test,
        split_seed=split_seed,
        source="sklearn.datasets.load_digits",
    )
