"""The tasks in the box: which loss and metrics they have by default, and which targets they can have."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from weft_basics.beside import CLUSTERING, CONTROL, DENSITY, RECONSTRUCTION
from weft_basics.experience import FIELDS, unpacked
from weft_basics.sequences import IGNORED

UNLABELLED = ("clustering", "density")
"""Tasks whose outputs are of groups that nobody has named: the largest says which one a sample is in."""


class Classification:
    """One of several classes for each sample: outputs (N, C) are scores, targets (N,) whole numbers from 0 to C - 1."""

    loss = "cross_entropy"
    metrics = ("accuracy",)
    objective = "valid/loss"

    def check(self, outputs: int, targets: Tensor) -> None:
        """Raise ValueError for targets of another type or shape, and for a label that is no class."""
        if targets.dtype != torch.int64 or targets.ndim != 1:
            raise ValueError(
                f"targets of a classification are int64 of shape [samples], not {_type(targets)} of shape {list(targets.shape)}"
            )
        _check_labels(outputs, targets)


class SequenceLabelling:
    """A class for each place of a sequence: outputs (N, length, C) are scores, targets (N, length) whole numbers from 0 to
    C - 1, or IGNORED where there is nothing to be labelled."""

    loss = "cross_entropy"
    metrics: tuple[str, ...] = ("accuracy",)
    objective = "valid/loss"

    def check(self, outputs: int, targets: Tensor) -> None:
        """Raise ValueError for targets of another type or shape, a label that is no class, and a sample without any label."""
        if targets.dtype != torch.int64 or targets.ndim != 2:
            raise ValueError(
                f"targets of sequences are int64 of shape [samples, length], "
                f"not {_type(targets)} of shape {list(targets.shape)}"
            )
        _check_labels(outputs, targets.masked_fill(targets == IGNORED, 0))
        empty = torch.nonzero((targets == IGNORED).all(1)).flatten()
        if len(empty):
            raise ValueError(f"sample {int(empty[0])} has no label at any place")


class LanguageModelling(SequenceLabelling):
    """The next token at each place of a sequence, from those up to there: as SequenceLabelling, with the tokens for classes."""

    metrics = ("bits_per_token", "accuracy")


class Clustering:
    """Samples that fall into groups: the largest of the outputs (N, K) says into which. Targets (N,) are classes, whole numbers
    from 0 on, that groups are held against; no model is told of them."""

    loss = "distortion"
    metrics: tuple[str, ...] = ("silhouette", "adjusted_rand_index")
    objective = "valid/loss"
    beside: ClassVar[dict[str, Any]] = CLUSTERING

    def check(self, outputs: int, targets: Tensor) -> None:
        """Raise ValueError for targets of another type or shape, and for a class that there isn't."""
        Classification().check(outputs, targets)


class Density(Clustering):
    """Samples of which it is asked how probable they are: outputs (N, K) are logarithms of densities, whose sum it is. Targets
    as those of Clustering."""

    loss = "mixture_nll"
    metrics = ("log_likelihood",)
    beside: ClassVar[dict[str, Any]] = DENSITY


class Regression:
    """One or more numbers for each sample: outputs and targets are (N, K)."""

    loss = "mse"
    metrics: tuple[str, ...] = ("mae", "r2")
    objective = "valid/loss"

    def check(self, outputs: int, targets: Tensor) -> None:
        """Raise ValueError for targets of another type or shape, and for one that is not finite."""
        if not targets.is_floating_point() or targets.ndim != 2 or targets.shape[1] != outputs:
            raise ValueError(
                f"targets of a regression are numbers with a fraction of shape [samples, {outputs}], "
                f"not {_type(targets)} of shape {list(targets.shape)}"
            )
        _check_finite(targets)


class Reconstruction(Regression):
    """Each sample from what was made of it: targets (N, K) are its own numbers, outputs (N, K) their reconstructions."""

    loss = "reconstruction_nll"
    metrics: tuple[str, ...] = ()
    beside: ClassVar[dict[str, Any]] = RECONSTRUCTION


class Control:
    """One of several actions at each step in an environment: outputs (N, A) are their scores, of which the largest is taken.
    Targets (N, 4) are what was done and what came of it: the action, what it was worth, its reward, and whether the episode was
    over."""

    loss = "action_value"
    metrics: tuple[str, ...] = ("return",)
    objective = "valid/return"
    beside: ClassVar[dict[str, Any]] = CONTROL

    def check(self, outputs: int, targets: Tensor) -> None:
        """Raise ValueError for targets of another type or shape, an action that there isn't, a number that is not finite."""
        if not targets.is_floating_point() or targets.ndim != 2 or targets.shape[1] != FIELDS:
            raise ValueError(
                f"targets of control are numbers with a fraction of shape [samples, {FIELDS}], "
                f"not {_type(targets)} of shape {list(targets.shape)}"
            )
        _check_finite(targets)
        _check_labels(outputs, unpacked(targets).actions)


def _check_finite(targets: Tensor) -> None:
    wrong = torch.nonzero(~torch.isfinite(targets))
    if len(wrong):
        sample, place = wrong[0].tolist()
        raise ValueError(f"target {float(targets[sample, place])} of sample {sample} is not finite")


def _check_labels(outputs: int, targets: Tensor) -> None:
    wrong = torch.nonzero((targets < 0) | (targets >= outputs))
    if len(wrong):
        first = wrong[0].tolist()
        where = f"sample {first[0]}" + (f", place {first[1]}" if len(first) > 1 else "")
        raise ValueError(f"label {int(targets[tuple(first)])} of {where} is none of 0 to {outputs - 1}")


def _type(targets: Tensor) -> str:
    return str(targets.dtype).removeprefix("torch.")
