"""Pieces of programs, by the package they are from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from weft_basics.datasets.dataset import Dataset
from weft_basics.datasets.labelled_texts import labelled_texts
from weft_basics.datasets.plain_text import files, read
from weft_basics.datasets.python_library import folder, source
from weft_basics.datasets.split import Test, Valid, grouped
from weft_basics.datasets.vocabulary import Tokens, Unit, split_up
from weft_basics.datasets.windows import Length

PACKAGES = ("asyncio", "email", "importlib", "multiprocessing", "unittest", "xml")
SIZE = 200
"""Characters of a piece at most."""
MOST = 60
"""Pieces of a file at most, from all parts of it: some files are as long as all the others of their package."""
_TELLING = re.compile(rf"\s*(import|from)\s|.*({'|'.join(PACKAGES)})", re.IGNORECASE)


def python_packages(
    split_seed: int,
    unit: Unit = "word",
    length: Length = 64,
    tokens: Tokens = 10_000,
    valid: Valid = 0.15,
    test: Test = 0.15,
) -> Dataset:
    """Some lines of a program, up to 200 characters: which of six packages of Python's standard library they are from.

    The packages are asyncio, email, importlib, multiprocessing, unittest and xml, which differ a little from one version to
    the next. Lines that import something or name one of the six are left out, and so are pieces that are met twice. Whole
    files of each package are dealt out to the splits. A piece is cut to its first `length` tokens, or padded.

    Raises:
        ValueError: this Python comes without its sources, or shares that leave nothing for training.
    """
    owners: dict[str, tuple[int, str]] = {}
    for label, name, piece in _pieces():
        owners.setdefault(piece, (label, name))
    labels = np.array([label for label, _ in owners.values()])
    names = [name for _, name in owners.values()]
    places = np.full(len(owners), "train")
    for label in range(len(PACKAGES)):
        members = np.flatnonzero(labels == label)
        _, validation, tested = grouped([names[member] for member in members], valid, test, split_seed)
        places[members[validation]] = "valid"
        places[members[tested]] = "test"
    return labelled_texts(
        [split_up(piece, unit) for piece in owners],
        labels,
        PACKAGES,
        length,
        tokens,
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=source(f"the packages {', '.join(PACKAGES)}"),
        places=places.tolist(),
    )


def _pieces() -> Iterator[tuple[int, str, str]]:
    """Yield the label, file and text of each piece."""
    for label, package in enumerate(PACKAGES):
        for name, file in _sources(package).items():
            pieces = _cut(read(file))
            for piece in pieces[:: -(-len(pieces) // MOST) or 1]:
                yield label, name, piece


def _sources(package: str) -> dict[str, Path]:
    """Return a package's files. Older versions have what tests a package in it, newer ones beside it: that is left out."""
    place = folder() / package
    found = files(place, ".py") if place.is_dir() else {}
    found = {name: file for name, file in found.items() if "test" not in name.split("/")}
    if len(found) < 3:
        raise ValueError(f"python_packages reads the sources of {package}, and {place} has {len(found)} files of them")
    return found


def _cut(text: str) -> list[str]:
    """Return the pieces of a file: whole lines, as many as there is room for. The last, which may be short, is left out."""
    pieces = [""]
    for line in text.splitlines():
        if not line.strip() or _TELLING.match(line):
            continue
        line = line.rstrip()[: SIZE - 1] + "\n"
        if len(pieces[-1]) + len(line) > SIZE:
            pieces.append("")
        pieces[-1] += line
    return pieces[:-1]
