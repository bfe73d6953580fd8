"""Which samples train, validate and test. The answer follows from the seed alone, whatever was drawn before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray

from weft import Range

Valid = Annotated[float, Range(0.01, 0.98), "share of the samples for validation"]
Test = Annotated[float, Range(0.01, 0.98), "share of the samples for the test"]
Indices = NDArray[np.int64]


def shuffled(samples: int, valid: float, test: float, seed: int) -> tuple[Indices, Indices, Indices]:
    """Return the indices of the three splits, each in rising order.

    Raises:
        ValueError: nothing would be left for training.
    """
    _check(valid, test)
    order = _permutation(samples, torch.Generator().manual_seed(seed))
    parts = _cut(order, valid, test)
    if not len(parts[0]):
        raise ValueError(f"{samples} samples are too few for valid={valid:g} and test={test:g}: none is left for training")
    train, validation, tested = map(np.sort, parts)
    return train, validation, tested


def stratified(
    labels: NDArray[np.int64], classes: Sequence[str], valid: float, test: float, seed: int
) -> tuple[Indices, Indices, Indices]:
    """Return the indices of the three splits, each in rising order, with every class in each of them by its share.

    Raises:
        ValueError: a class has too few samples to be in all three; names those.
    """
    _check(valid, test)
    generator = torch.Generator().manual_seed(seed)
    parts: list[tuple[Indices, Indices, Indices]] = []
    few: list[str] = []
    for label, name in enumerate(classes):
        members = np.flatnonzero(labels == label)
        parts.append(_cut(members[_permutation(len(members), generator)], valid, test))
        if not all(map(len, parts[-1])):
            few.append(f"{name} ({len(members)})")
    if few:
        raise ValueError(f"too few samples to be in train, valid={valid:g} and test={test:g} alike: {', '.join(few)}")
    train, validation, tested = (np.sort(np.concatenate(split)) for split in zip(*parts, strict=True))
    return train, validation, tested


def _check(valid: float, test: float) -> None:
    if valid + test >= 1:
        raise ValueError(f"valid={valid:g} and test={test:g} leave nothing for training: together they must be below 1")


def _permutation(samples: int, generator: torch.Generator) -> Indices:
    order: Indices = torch.randperm(samples, generator=generator).numpy()
    return order


def _cut(order: Indices, valid: float, test: float) -> tuple[Indices, Indices, Indices]:
    """Return what is left for training, then the other two, which have at least one each."""
    validated = max(1, round(len(order) * valid))
    tested = max(1, round(len(order) * test))
    return order[validated + tested :], order[:validated], order[validated : validated + tested]
