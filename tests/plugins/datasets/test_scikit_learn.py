"""Tables read from scikit-learn's files are what it loads itself, and it isn't imported for them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn import datasets

from weft_basics.datasets.scikit_learn import classes, table


@pytest.mark.parametrize(("name", "file"), [("iris", "iris"), ("wine", "wine_data"), ("breast_cancer", "breast_cancer")])
def test_samples_labels_and_names(name: str, file: str) -> None:
    samples, labels, names = classes(f"{file}.csv")
    theirs = getattr(datasets, f"load_{name}")()
    np.testing.assert_array_equal(samples, theirs.data)
    np.testing.assert_array_equal(labels, theirs.target)
    assert names == [str(name) for name in theirs.target_names]


def test_numbers_alone() -> None:
    digits, diabetes = datasets.load_digits(), datasets.load_diabetes(scaled=False)
    np.testing.assert_array_equal(table("digits.csv.gz"), np.column_stack([digits.data, digits.target]))
    np.testing.assert_array_equal(table("diabetes_data_raw.csv.gz", " "), diabetes.data)
    np.testing.assert_array_equal(table("diabetes_target.csv.gz", " "), diabetes.target)


def test_they_need_no_import_of_it() -> None:
    code = """
import sys
from weft_basics.datasets.digits import digits
from weft_basics.datasets.tables import diabetes, iris
digits(0), iris(0), diabetes(0)
print("sklearn" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
