"""Losses of regression: means over all N x K numbers. All raise ValueError where outputs and targets differ in shape."""

from __future__ import annotations

from typing import Annotated

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


for _loss in (mse, mae, huber, smooth_l1):
    _loss.tasks = ("regression",)  # type: ignore[attr-defined]
