"""Which samples train, validate and test. The answer follows from the seed alone, whatever was drawn before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    return completed(labels, classes, ["train"] * len(labels), valid, test, seed)


def completed(
    labels: NDArray[np.int64], classes: Sequence[str], places: Sequence[str], valid: float, test: float, seed: int
) -> tuple[Indices, Indices, Indices]:
    """Return the indices of the three splits, each in rising order, where `places` names the split of each sample. A split
    that no sample is in, valid or test, is taken from those of train: every class by its share.

    Raises:
        ValueError: a class has too few samples to be in all splits it is taken for; names those.
    """
    parts = {split: np.flatnonzero(np.asarray(places) == split) for split in ("train", "valid", "test")}
    shares = {split: share for split, share in (("valid", valid), ("test", test)) if not len(parts[split])}
    _check(**shares)
    if shares:
        source = parts["train"]
        taken = _by_class(labels[source], classes, shares, seed)
        parts |= {split: source[chosen] for split, chosen in zip(("train", *shares), taken, strict=True)}
    return parts["train"], parts["valid"], parts["test"]


def grouped(groups: Sequence[str], valid: float, test: float, seed: int) -> tuple[Indices, Indices, Indices]:
    """Return the indices of the three splits, each in rising order, with all samples of a group (a speaker, a file) in the
    same one. The shares are met about as nearly as whole groups allow; the training split takes what is left.

    Raises:
        ValueError: there are fewer than three groups.
    """
    _check(valid, test)
    names, places = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < 3:
        raise ValueError(f"three splits need three groups or more, and there are {len(names)}: {', '.join(map(str, names))}")
    sizes = np.bincount(places)
    left = list(_permutation(len(names), torch.Generator().manual_seed(seed)))
    parts: list[Indices] = []
    for share, reserved in ((valid, 2), (test, 1)):  # so many groups at least stay for the splits to come
        taken = _fitting({group: int(sizes[group]) for group in reversed(left)}, share * len(places), len(left) - reserved)
        chosen = {*taken}
        left = [group for group in left if group not in chosen]
        parts.append(np.flatnonzero(np.isin(places, taken)))
    return np.flatnonzero(np.isin(places, left)), parts[0], parts[1]


def _fitting(sizes: Mapping[int, int], wanted: float, most: int) -> list[int]:
    """Return groups whose sizes add up to about what is wanted: those that fit, as they come, then one more if that is nearer.
    One at least, the smallest; `most` at most."""
    taken: dict[int, None] = {}
    size = 0
    for group, more in sizes.items():
        if len(taken) < most and size + more <= wanted:
            taken[group] = None
            size += more
    others = [group for group in sizes if group not in taken]
    nearest = min(others, key=lambda group: abs(size + sizes[group] - wanted))
    if len(taken) < most and abs(size + sizes[nearest] - wanted) < abs(size - wanted):
        taken[nearest] = None
    return list(taken) or [min(others, key=lambda group: sizes[group])]


def _check(valid: float = 0.0, test: float = 0.0) -> None:
    if valid + test >= 1:
        raise ValueError(f"valid={valid:g} and test={test:g} leave nothing for training: together they must be below 1")


def _by_class(labels: NDArray[np.int64], classes: Sequence[str], shares: Mapping[str, float], seed: int) -> list[Indices]:
    """Return what is left for training, then a split for each share; each has every class, and is in rising order."""
    generator = torch.Generator().manual_seed(seed)
    parts: list[list[Indices]] = []
    few: list[str] = []
    for label, name in enumerate(classes):
        members = np.flatnonzero(labels == label)
        parts.append(_cut(members[_permutation(len(members), generator)], *shares.values()))
        if not all(map(len, parts[-1])):
            few.append(f"{name} ({len(members)})")
    if few:
        *splits, last = ["train", *(f"{split}={share:g}" for split, share in shares.items())]
        raise ValueError(f"too few samples to be in {', '.join(splits)} and {last} alike: {', '.join(few)}")
    return [np.sort(np.concatenate(split)) for split in zip(*parts, strict=True)]


def _permutation(samples: int, generator: torch.Generator) -> Indices:
    order: Indices = torch.randperm(samples, generator=generator).numpy()
    return order


def _cut(order: Indices, *shares: float) -> list[Indices]:
    """Return what is left for training, then a part for each share, which has at least one."""
    ends = np.cumsum([max(1, round(len(order) * share)) for share in shares])
    *parts, rest = np.split(order, ends)
    return [rest, *parts]
