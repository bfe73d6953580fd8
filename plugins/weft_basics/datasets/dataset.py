"""What a dataset is, and how arrays become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from weft_basics.datasets.split import completed, grouped, shuffled, stratified

Pair = tuple[Tensor, Tensor]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Dataset:
    """Samples in three splits, each a pair of inputs (N, *inputs) and targets.

    Inputs are float32, or int64 (N, length) where there is a `vocabulary`: as many tokens, of which `sequences` gives two a
    meaning; `tokens` are their names. Targets of a classification are int64 (N,), those of sequences int64 (N, length), those
    of a regression float32 (N, outputs); there `target_mean` and `target_scale` lead back to the unit they had:
    target · scale + mean.
    """

    task: str
    inputs: tuple[int, ...]
    outputs: int
    train: Pair
    valid: Pair
    test: Pair
    source: str
    classes: tuple[str, ...] = ()
    vocabulary: int | None = None
    tokens: tuple[str, ...] = ()
    target_mean: float = 0.0
    target_scale: float = 1.0


def classification(
    inputs: NDArray[Any],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    *,
    valid: float,
    test: float,
    split_seed: int,
    source: str,
    standardize: NDArray[np.bool_] | bool = False,
    alike: tuple[int, ...] = (),
    groups: Sequence[str] | None = None,
    places: Sequence[str] | None = None,
    vocabulary: int | None = None,
) -> Dataset:
    """Return a dataset whose splits have the classes in equal shares; whole groups, where samples have `groups`; or, where
    `places` names each sample's split, those.

    `standardize` says which columns (or all, or none) are brought to mean 0 and deviation 1, by the training samples'
    statistics, which numbers along the axes `alike` (1 is the inputs' first) share. With a `vocabulary` the inputs are
    tokens.

    Raises:
        ValueError: a class with too few samples, or shares that leave nothing for training.
    """
    if groups is not None:
        splits = grouped(groups, valid, test, split_seed)
        _check_trained(labels, classes, splits[0])
    elif places is not None:
        splits = completed(labels, classes, places, valid, test, split_seed)
    else:
        splits = stratified(labels, classes, valid, test, split_seed)
    scaled = _standardized(inputs, splits[0], standardize, alike)
    train, validation, tested = (
        (_tensor(scaled[chosen], vocabulary), torch.from_numpy(labels[chosen].astype(np.int64))) for chosen in splits
    )
    shape = inputs.shape[1:]
    return Dataset("classification", shape, len(classes), train, validation, tested, source, tuple(classes), vocabulary)


def regression(
    inputs: Numbers,
    targets: Numbers,
    *,
    valid: float,
    test: float,
    split_seed: int,
    source: str,
    standardize: NDArray[np.bool_] | bool = False,
    standardize_targets: bool = True,
    groups: Sequence[str] | None = None,
) -> Dataset:
    """Return a dataset of one target (N,) for each sample. As `classification`; the targets are standardized alike.

    Raises:
        ValueError: too few samples, or shares that leave nothing for training.
    """
    splits = shuffled(len(targets), valid, test, split_seed) if groups is None else grouped(groups, valid, test, split_seed)
    scaled = _standardized(inputs, splits[0], standardize)
    mean, scale = _statistics(targets[splits[0], None]) if standardize_targets else (np.zeros((1, 1)), np.ones((1, 1)))
    answers = (targets[:, None] - mean) / scale
    train, validation, tested = ((_tensor(scaled[chosen]), _tensor(answers[chosen])) for chosen in splits)
    return Dataset(
        "regression",
        inputs.shape[1:],
        1,
        train,
        validation,
        tested,
        source,
        target_mean=mean.item(),
        target_scale=scale.item(),
    )


def _check_trained(labels: NDArray[np.int64], classes: Sequence[str], train: NDArray[np.int64]) -> None:
    unseen = [name for label, name in enumerate(classes) if not (labels[train] == label).any()]
    if unseen:
        raise ValueError(f"no group that is left for training has {', '.join(unseen)}: take another split_seed, or more groups")


def _standardized(
    inputs: NDArray[Any], train: NDArray[np.int64], which: NDArray[np.bool_] | bool, alike: tuple[int, ...] = ()
) -> NDArray[Any]:
    if which is False:
        return inputs
    mean, scale = _statistics(inputs[train], alike)
    return np.where(which, (inputs - mean) / scale, inputs)


def _statistics(samples: NDArray[Any], alike: tuple[int, ...] = ()) -> tuple[Numbers, Numbers]:
    """Return each column's mean and standard deviation (1, *columns); 1 for one that is constant, which can't be scaled."""
    axes = (0, *alike)
    constant = np.ptp(samples, axis=axes, keepdims=True) == 0
    mean = samples.mean(axis=axes, keepdims=True, dtype=np.float64)
    return mean, np.where(constant, 1.0, samples.std(axis=axes, keepdims=True, dtype=np.float64))


def _tensor(numbers: NDArray[Any], vocabulary: int | None = None) -> Tensor:
    return torch.from_numpy(numbers.astype(np.float32 if vocabulary is None else np.int64))
