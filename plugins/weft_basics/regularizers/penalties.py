"""Penalties on the size of weights. They leave biases, and every other parameter of one dimension, alone."""

from typing import Annotated

import torch
from torch import Tensor, nn

from weft import Range

Weight = Annotated[float, Range(0, 1e6), "strength"]


def l1(model: nn.Module, weight: Weight = 1e-4) -> Tensor:
    """weight · Σ|w|: pushes weights to zero, and many of them onto it."""
    return weight * torch.stack([matrix.abs().sum() for matrix in _weights(model)]).sum()


def l2(model: nn.Module, weight: Weight = 1e-4) -> Tensor:
    """weight · ½ Σw²: shrinks weights in proportion to their size."""
    return weight * 0.5 * torch.stack([matrix.square().sum() for matrix in _weights(model)]).sum()


def elastic_net(
    model: nn.Module, weight: Weight = 1e-4, l1_ratio: Annotated[float, Range(0, 1), "share of l1"] = 0.5
) -> Tensor:
    """weight · (l1_ratio · Σ|w| + (1 - l1_ratio) · ½ Σw²) (Zou and Hastie 2005)."""
    return l1_ratio * l1(model, weight) + (1 - l1_ratio) * l2(model, weight)


def _weights(model: nn.Module) -> list[Tensor]:
    return [parameter for parameter in model.parameters() if parameter.dim() > 1]
