"""Keras's losses of regression: means over all N x K numbers, the cosine over samples. All raise ValueError where outputs and
targets differ in shape, or Keras can't be had with torch."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from weft import Range
from weft_keras.backend import computing, keras_on_torch


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Keras's mean of squared errors, (y - t)²."""
    return _mean("mean_squared_error", outputs, targets)


def mean_absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Keras's mean of absolute errors, |y - t|."""
    return _mean("mean_absolute_error", outputs, targets)


def mean_absolute_percentage_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Keras's mean of absolute errors in percent of the targets, 100 · |y - t| / |t|, with |t| taken as epsilon at least."""
    return _mean("mean_absolute_percentage_error", outputs, targets)


def mean_squared_logarithmic_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Keras's mean of squared differences of logarithms, (log(1 + y) - log(1 + t))², with both taken as epsilon at least."""
    return _mean("mean_squared_logarithmic_error", outputs, targets)


def huber(
    outputs: Tensor,
    targets: Tensor,
    delta: Annotated[float, Range(1e-4, 1e4, log=True), "error where the square ends, in the targets' unit"] = 1.0,
) -> Tensor:
    """Keras's Huber loss: (y - t)² / 2 for errors up to delta, delta · (|y - t| - delta / 2) beyond."""
    return _mean("huber", outputs, targets, delta=delta)


def log_cosh(outputs: Tensor, targets: Tensor) -> Tensor:
    """Keras's mean of log cosh(y - t): half the square of small errors, |y - t| - log 2 of large ones."""
    return _mean("log_cosh", outputs, targets)


def cosine_similarity(outputs: Tensor, targets: Tensor) -> Tensor:
    """Keras's cosine loss: minus the mean over samples of the cosine between outputs and targets, from -1 to 1."""
    return _mean("cosine_similarity", outputs, targets)


def _mean(name: str, outputs: Tensor, targets: Tensor, **options: Any) -> Tensor:
    if outputs.shape != targets.shape:  # Keras would broadcast
        raise ValueError(f"outputs of shape {list(outputs.shape)} can't be held against targets of shape {list(targets.shape)}")
    numbers = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
    function = getattr(keras_on_torch().losses, name)
    with computing(numbers.device, numbers.dtype):
        found: Tensor = function(targets, numbers, **options).mean()
    return found


for _loss in (
    mean_squared_error,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_logarithmic_error,
    huber,
    log_cosh,
    cosine_similarity,
):
    _loss.tasks = ("regression",)  # type: ignore[attr-defined]
