"""The two tasks in the box: which loss and metrics they have by default, and which targets they can have."""

from __future__ import annotations

import torch
from torch import Tensor


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
        wrong = torch.nonzero((targets < 0) | (targets >= outputs)).flatten()
        if len(wrong):
            first = int(wrong[0])
            raise ValueError(f"label {int(targets[first])} of sample {first} is none of 0 to {outputs - 1}")


class Regression:
    """One or more numbers for each sample: outputs and targets are (N, K)."""

    loss = "mse"
    metrics = ("mae", "r2")
    objective = "valid/loss"

    def check(self, outputs: int, targets: Tensor) -> None:
        """Raise ValueError for targets of another type or shape, and for one that is not finite."""
        if not targets.is_floating_point() or targets.ndim != 2 or targets.shape[1] != outputs:
            raise ValueError(
                f"targets of a regression are numbers with a fraction of shape [samples, {outputs}], "
                f"not {_type(targets)} of shape {list(targets.shape)}"
            )
        wrong = torch.nonzero(~torch.isfinite(targets))
        if len(wrong):
            sample, place = wrong[0].tolist()
            raise ValueError(f"target {float(targets[sample, place])} of sample {sample} is not finite")


def _type(targets: Tensor) -> str:
    return str(targets.dtype).removeprefix("torch.")
