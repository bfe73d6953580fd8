"""Penalties on the size of weights.

Weights here are the parameters with two dimensions or more. Biases and the scales of normalization layers have one: they
don't make a model more complex, and are left alone.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from weft import Range, UserError

Strength = Annotated[float, Range(0, 10), "strength of the penalty"]


def l1(model: nn.Module, weight: Strength = 1e-4) -> Tensor:
    """Strength times the sum of all |w|: pulls weights to exactly zero, biases excepted (lasso, Tibshirani 1996)."""
    return weight * torch.stack([parameter.abs().sum() for parameter in weights(model)]).sum()


def l2(model: nn.Module, weight: Strength = 1e-4) -> Tensor:
    """Strength times the sum of all w²: keeps weights small, biases excepted (ridge, Hoerl and Kennard 1970).

    Its gradient is 2 · strength · w, so under plain SGD it is a weight decay of twice the strength.
    """
    return weight * torch.stack([parameter.square().sum() for parameter in weights(model)]).sum()


def elastic_net(
    model: nn.Module,
    weight: Strength = 1e-4,
    l1_ratio: Annotated[float, Range(0, 1), "share of l1; the rest is l2"] = 0.5,
) -> Tensor:
    """Strength times the sum of l1_ratio · |w| + (1 - l1_ratio) · w², biases excepted (Zou and Hastie 2005)."""
    return l1_ratio * l1(model, weight) + (1 - l1_ratio) * l2(model, weight)


def weights(model: nn.Module) -> list[Tensor]:
    """Return the model's parameters with two dimensions or more.

    Raises:
        UserError: there are none, and a penalty on nothing would be silently nothing.
    """
    found: list[Tensor] = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    if not found:
        raise UserError(f"{type(model).__name__} has no weights with two dimensions or more to be penalised")
    return found
