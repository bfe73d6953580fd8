"""Optimizers that change what another one does: `optimizer=lookahead optimizer.base=sgd`, or with options of its own
`'optimizer.base={name: sgd, lr: 0.1}'`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import pytorch_optimizer
from pytorch_optimizer.base.optimizer import BaseOptimizer
from torch import nn
from torch.optim import Optimizer

from weft import Choice

Base = Annotated[Callable[..., Optimizer], Choice("optimizer")]


class Wrapping(BaseOptimizer):
    """What such an optimizer is mixed with: the one that it wraps, made of the same weights."""

    def __init__(
        self,
        params: Iterable[Any],
        model: nn.Module | None = None,
        base: Base = "adamw",  # type: ignore[assignment]
        **options: Any,
    ):
        super().__init__(base(params=params, model=model), **options)


class Lookahead(Wrapping, pytorch_optimizer.Lookahead):
    """Slow weights that follow those of another optimizer every k steps (Zhang et al., "Lookahead optimizer", 2019)."""


class OrthoGrad(Wrapping, pytorch_optimizer.OrthoGrad):
    """Another optimizer on the part of each gradient that is orthogonal to its weights (Prieto et al. 2025)."""


class Magma(Wrapping, pytorch_optimizer.Magma):
    """Another optimizer whose updates are left out at random, else made smaller where momentum disagrees (arXiv:2602.15322)."""
