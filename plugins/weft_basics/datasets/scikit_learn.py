"""The small tables that come with scikit-learn, from its files: importing it takes longer than to train on them."""

from __future__ import annotations

import csv
import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from weft_basics.datasets.dataset import Numbers


def table(name: str, delimiter: str = ",") -> Numbers:
    """Return the numbers of one of its files of numbers alone."""
    with _opened(name) as lines:
        return np.loadtxt(lines, delimiter=delimiter)


def classes(name: str) -> tuple[Numbers, NDArray[np.int64], list[str]]:
    """Return samples, labels and the classes' names of one of its files that begins with these."""
    with _opened(name) as lines:
        _, columns, *names = next(csv.reader(lines))
        rows = np.loadtxt(lines, delimiter=",")
    return rows[:, : int(columns)], rows[:, -1].astype(np.int64), names


def _opened(name: str) -> IO[Any]:
    found = find_spec("sklearn")  # which imports nothing
    assert found is not None
    assert found.submodule_search_locations is not None
    file = Path(found.submodule_search_locations[0]) / "datasets" / "data" / name
    return gzip.open(file, "rt") if file.suffix == ".gz" else open(file)
