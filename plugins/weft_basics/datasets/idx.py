"""MNIST's files, and those of its many successors."""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from weft_basics.datasets.dataset import Dataset, classification
from weft_basics.datasets.folder import entries, existing
from weft_basics.datasets.split import Valid

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""What a file's numbers are, by its third byte."""
_DEFLATED = 1032
"""How many times as long as its file, at most, what was compressed is."""


def idx(
    path: Annotated[str, "of the folder that has the files, such as train-images-idx3-ubyte and t10k-labels-idx1-ubyte.gz"],
    split_seed: int,
    prefix: Annotated[str, "that the files' names begin with, where a folder has several datasets"] = "",
    valid: Valid = 0.15,
) -> Dataset:
    """Pictures in IDX files (1, height, width), such as MNIST, Fashion-MNIST, KMNIST and EMNIST; the test is theirs.

    For training and for the test (a name with the word test or t10k) there is a file of images and one of labels, whichever
    may be compressed; of one that is there both ways the plain one is read. Bytes are divided by 255, other numbers stay as
    they are. `valid` is a share of the training samples. The format is that of LeCun, Cortes and Burges, "The MNIST database
    of handwritten digits"; EMNIST's pictures lie on their side in its files, and here.

    Raises:
        ValueError: a folder or file that isn't there or can't be read, several that could be meant, labels that don't fit
            the pictures or the training, pictures that differ in size or in type, or a class with too few samples.
    """
    folder = existing(path)
    files = [file for file in entries(folder) if file.name.startswith(prefix) and os.path.isfile(file)]
    images, labels, kind = _pair(folder, files, ("train",))
    tested, answers, other = _pair(folder, files, ("test", "t10k"))
    if kind != other:
        raise ValueError(f"the pictures in {folder} are numbers of {kind.name} for training and of {other.name} for the test")
    if images.shape[1:] != tested.shape[1:]:
        sizes = f"{list(images.shape[1:])} for training, {list(tested.shape[1:])} for the test"
        raise ValueError(f"the pictures in {folder} differ in [height, width]: {sizes}")
    classes = [str(label) for label in np.unique(labels)]
    unknown = np.setdiff1d(answers, labels)
    if len(unknown):
        raise ValueError(f"{folder}: label {unknown[0]} is in the test, but not among those for training: {', '.join(classes)}")
    if len(classes) < 2:
        raise ValueError(f"{folder} has one class only: {classes[0]}")
    return classification(
        np.concatenate([images, tested])[:, None],
        np.searchsorted(np.unique(labels), np.concatenate([labels, answers])),
        classes,
        valid=valid,
        test=0.0,
        split_seed=split_seed,
        source=path,
        places=["train"] * len(labels) + ["test"] * len(answers),
    )


def read(file: Path, dimensions: int) -> NDArray[Any]:
    """Return the numbers of an IDX file, which may be compressed, with as many dimensions.

    Raises:
        ValueError: it can't be read, is no IDX file, or is longer or shorter than it says itself.
    """
    packed = file.suffix.lower() == ".gz"
    try:
        with gzip.open(file) if packed else file.open("rb") as opened:
            magic = opened.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES:
                raise ValueError(f"{file} is no IDX file: it begins with the bytes {magic.hex(' ') or 'of nothing'}")
            if magic[3] != dimensions:
                raise ValueError(f"{file} has numbers in {magic[3]} dimensions, not in {dimensions}")
            head = opened.read(4 * dimensions)
            shape = struct.unpack(f">{dimensions}I", head.ljust(4 * dimensions, b"\0"))
            kind = np.dtype(TYPES[magic[2]])
            length = math.prod(shape) * kind.itemsize
            if not length:
                raise ValueError(f"{file} has nothing in it: its shape is {list(shape)}")
            # A length that can't be true is not read: it would be given room before anything comes.
            found = opened.read(length + 1) if length <= file.stat().st_size * (_DEFLATED if packed else 1) else b""
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file} can't be read: {error}") from error
    if len(found) != length:
        raise ValueError(f"{file} is {'shorter' if len(found) < length else 'longer'} than its shape {list(shape)} says")
    return np.frombuffer(found, kind).reshape(shape)


def _pair(
    folder: Path, files: Sequence[Path], words: tuple[str, ...]
) -> tuple[NDArray[np.float32], NDArray[np.int64], np.dtype[Any]]:
    """Return the pictures (N, height, width) and labels (N,) of the files that have one of the words in their names, and what
    the pictures' numbers are there."""
    pictures, named = _one(folder, files, words, "images"), _one(folder, files, words, "labels")
    images, labels = read(pictures, 3), read(named, 1)
    if labels.dtype.kind == "f":
        raise ValueError(f"the labels in {named} are not whole numbers")
    if len(images) != len(labels):
        raise ValueError(f"{pictures} has {len(images)} pictures, and {named.name} {len(labels)} labels")
    with np.errstate(over="ignore"):
        numbers = images.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{pictures} has a number that is not a finite one of 32 bits")
    if images.dtype == np.uint8:
        numbers /= 255
    return numbers, labels.astype(np.int64), images.dtype


def _one(folder: Path, files: Sequence[Path], words: tuple[str, ...], what: str) -> Path:
    found: dict[str, Path] = {}
    for file in files:
        parts = re.split(r"[^a-z0-9]+", file.name.lower())
        if what in parts and not {*words}.isdisjoint(parts) and any(part.startswith("idx") for part in parts):
            found.setdefault(file.name.removesuffix(".gz"), file)  # in the order of names, the plain file is first
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise ValueError(f"{folder} has several files of {words[0]} {what}: {', '.join(found)}; say with prefix which")
    wanted = f"{words[-1]}-{what}-idx{3 if what == 'images' else 1}-ubyte"
    there = ", ".join(file.name for file in files[:5]) or "nothing"
    raise ValueError(f"{folder} has no file such as {wanted}; there is {there}")
