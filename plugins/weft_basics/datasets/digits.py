"""Small images of digits."""

from __future__ import annotations

import numpy as np

from weft_basics.datasets.dataset import Dataset, classification
from weft_basics.datasets.scikit_learn import table
from weft_basics.datasets.split import Test, Valid


def digits(split_seed: int, valid: Valid = 0.15, test: Test = 0.15) -> Dataset:
    """1797 handwritten digits of 8 x 8 pixels, from 0 (white) to 1 (black); ten classes.

    From scikit-learn; UCI's "Optical recognition of handwritten digits", Alpaydin and Kaynak 1998.

    Raises:
        ValueError: shares that leave nothing for training.
    """
    rows = table("digits.csv.gz")
    return classification(
        rows[:, :-1].reshape(-1, 1, 8, 8) / 16,
        rows[:, -1].astype(np.int64),
        [str(digit) for digit in range(10)],
        valid=valid,
        test=test,
        split_seed=split_seed,
        source="sklearn.datasets.load_digits",
    )
