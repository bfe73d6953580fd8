"""Samples cut into train, valid and test, and scaled by what the training part alone says."""

from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from weft import Range

Share = Annotated[float, Range(0.001, 0.998), "share of the samples"]
Pair = tuple[Tensor, Tensor]
Array = np.ndarray[Any, Any]


def split(inputs: Array, targets: Array, valid: float, test: float, seed: int, stratify: bool) -> list[tuple[Array, Array]]:
    """Return (inputs, targets) of train, valid and test. Stratified, each has its share of every class.

    Raises:
        ValueError: the shares leave nothing to train on, or there are too few samples of a class.
    """
    from sklearn.model_selection import train_test_split

    if valid + test >= 1:
        raise ValueError(f"valid={valid:g} and test={test:g} leave nothing to train on: their sum must be below 1")
    strata = targets if stratify else None
    try:
        rest, last = train_test_split(np.arange(len(targets)), test_size=test, random_state=seed, stratify=strata)
        strata = targets[rest] if stratify else None
        first, middle = train_test_split(rest, test_size=valid / (1 - test), random_state=seed, stratify=strata)
    except ValueError as error:
        raise ValueError(f"{len(targets)} samples can't be split with valid={valid:g} and test={test:g}: {error}") from None
    return [(inputs[chosen], targets[chosen]) for chosen in (first, middle, last)]


def standardized(parts: list[Array]) -> list[Array]:
    """Return the parts scaled so that each column of the first, the training part, has mean 0 and variance 1. A column that
    is constant there stays as it is but for its mean."""
    mean, deviation = parts[0].mean(0), parts[0].std(0)
    deviation = np.where(deviation == 0, 1.0, deviation)
    return [(part - mean) / deviation for part in parts]


class Classes:
    """A classification: inputs as given, standardised when they are a table; targets are numbers of classes."""

    task = "classification"
    vocabulary = None

    def __init__(
        self, inputs: Array, targets: Array, classes: list[str], source: str, valid: float, test: float, seed: int, table: bool
    ):
        parts = split(inputs, targets, valid, test, seed, stratify=True)
        features = [part[0] for part in parts]
        pairs = [
            (torch.tensor(a, dtype=torch.float32), torch.tensor(part[1], dtype=torch.int64))
            for a, part in zip(standardized(features) if table else features, parts, strict=True)
        ]
        self.train, self.valid, self.test = pairs
        self.inputs = tuple(inputs.shape[1:])
        self.outputs = len(classes)
        self.classes = classes
        self.source = source


class Numbers:
    """A regression: inputs and targets standardised by the training part, so that errors are in its standard deviations."""

    task = "regression"
    vocabulary = None

    def __init__(self, inputs: Array, targets: Array, source: str, valid: float, test: float, seed: int):
        parts = split(inputs, targets.reshape(len(targets), -1), valid, test, seed, stratify=False)
        features, answers = (standardized([part[place] for part in parts]) for place in (0, 1))
        pairs = [
            (torch.tensor(a, dtype=torch.float32), torch.tensor(b, dtype=torch.float32))
            for a, b in zip(features, answers, strict=True)
        ]
        self.train, self.valid, self.test = pairs
        self.inputs = tuple(inputs.shape[1:])
        self.outputs = answers[0].shape[1]
        self.source = source
