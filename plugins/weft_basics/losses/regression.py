"""Losses of regression: means over all N x K numbers. All raise ValueError where outputs and targets differ in shape."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from weft import Range
from weft_basics.shapes import check_shapes


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of squared errors, (y - t)²."""
    check_shapes(outputs, targets)
    return functional.mse_loss(outputs, targets)


def mae(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of absolute errors, |y - t|."""
    check_shapes(outputs, targets)
    return functional.l1_loss(outputs, targets)


def huber(
    outputs: Tensor,
    targets: Tensor,
    delta: Annotated[float, Range(1e-4, 1e4, log=True), "error where the square ends, in the targets' unit"] = 1.0,
) -> Tensor:
    """Squares for errors up to delta, straight lines beyond: (y - t)² / 2, or delta · (|y - t| - delta / 2) (Huber 1964)."""
    check_shapes(outputs, targets)
    return functional.huber_loss(outputs, targets, delta=delta)


def smooth_l1(
    outputs: Tensor,
    targets: Tensor,
    beta: Annotated[float, Range(1e-4, 1e4, log=True), "error where the square ends, in the targets' unit"] = 1.0,
) -> Tensor:
    """The Huber loss divided by beta: (y - t)² / (2 beta), or |y - t| - beta / 2, of slope 1 beyond (Girshick 2015)."""
    check_shapes(outputs, targets)
    return functional.smooth_l1_loss(outputs, targets, beta=beta)


def log_cosh(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of log cosh(y - t): half the square of small errors, |y - t| - log 2 of large ones, and smooth everywhere.

    Saleh and Saleh, "Statistical properties of the log-cosh loss function used in machine learning", 2022.
    """
    check_shapes(outputs, targets)
    errors = outputs - targets
    return torch.logaddexp(errors, -errors).mean() - math.log(2)  # exp(errors) itself would overflow


def gaussian_nll(
    outputs: Tensor,
    targets: Tensor,
    noise: Annotated[float, Range(1e-6, 1e6, log=True), "deviation of a target from what is right"] = 1.0,
) -> Tensor:
    """Negative log-likelihood of targets that are Gaussian about the outputs, in nats a number.

    The mean of ((y - t) / noise)² / 2 + log(noise · sqrt(2 pi)).
    """
    check_shapes(outputs, targets)
    return functional.mse_loss(outputs, targets) / (2 * noise**2) + math.log(noise) + 0.5 * math.log(2 * math.pi)


def quantile(
    outputs: Tensor,
    targets: Tensor,
    quantile: Annotated[float, Range(1e-4, 0.9999), "share of the targets that is to lie below the output"] = 0.5,
) -> Tensor:
    """Pinball loss, whose minimum is a quantile: quantile · (t - y) where the target is above, (1 - quantile) · (y - t) else.

    Koenker and Bassett, "Regression quantiles", 1978. At 0.5 it is half the mean absolute error.
    """
    check_shapes(outputs, targets)
    errors = targets - outputs
    return torch.maximum(quantile * errors, (quantile - 1) * errors).mean()


for _loss in (mse, mae, huber, smooth_l1, log_cosh, gaussian_nll, quantile):
    _loss.tasks = ("regression",)  # type: ignore[attr-defined]
