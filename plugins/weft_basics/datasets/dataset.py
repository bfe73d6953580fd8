"""What a dataset is, and how arrays become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from weft_basics.datasets.split import shuffled, stratified

Pair = tuple[Tensor, Tensor]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Dataset:
    """Samples in three splits, each a pair of inputs (N, *inputs) float32 and targets.

    Targets of a classification are int64 (N,), those of a regression float32 (N, outputs); there `target_mean` and
    `target_scale` lead back to the unit they had: target · scale + mean.
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
    target_mean: float = 0.0
    target_scale: float = 1.0


def classification(
    inputs: Numbers,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    *,
    valid: float,
    test: float,
    split_seed: int,
    source: str,
    standardize: NDArray[np.bool_] | bool = False,
) -> Dataset:
    """Return a dataset whose splits have the classes in equal shares. `standardize` says which columns (or all, or none) are
    brought to mean 0 and deviation 1, by the training samples' statistics.

    Raises:
        ValueError: a class with too few samples, or shares that leave nothing for training.
    """
    splits = stratified(labels, classes, valid, test, split_seed)
    scaled = _standardized(inputs, splits[0], standardize)
    train, validation, tested = (
        (_tensor(scaled[chosen]), torch.from_numpy(labels[chosen].astype(np.int64))) for chosen in splits
    )
    shape = inputs.shape[1:]
    return Dataset("classification", shape, len(classes), train, validation, tested, source, tuple(classes))


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
) -> Dataset:
    """Return a dataset of one target (N,) for each sample. As `classification`; the targets are standardized alike.

    Raises:
        ValueError: too few samples, or shares that leave nothing for training.
    """
    splits = shuffled(len(targets), valid, test, split_seed)
    scaled = _standardized(inputs, splits[0], standardize)
    mean, scale = _statistics(targets[splits[0], None]) if standardize_targets else (np.zeros(1), np.ones(1))
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
        target_mean=float(mean[0]),
        target_scale=float(scale[0]),
    )


def _standardized(inputs: Numbers, train: NDArray[np.int64], which: NDArray[np.bool_] | bool) -> Numbers:
    if which is False:
        return inputs
    mean, scale = _statistics(inputs[train])
    return np.where(which, (inputs - mean) / scale, inputs)


def _statistics(samples: Numbers) -> tuple[Numbers, Numbers]:
    """Return each column's mean and standard deviation; 1 for a column that is constant, which can't be scaled."""
    constant = np.ptp(samples, axis=0) == 0
    return samples.mean(axis=0), np.where(constant, 1.0, samples.std(axis=0))


def _tensor(numbers: Numbers) -> Tensor:
    return torch.from_numpy(numbers.astype(np.float32))
