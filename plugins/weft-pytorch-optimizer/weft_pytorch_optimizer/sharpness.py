"""Sharpness-aware minimization: gradients at weights that were moved uphill first, given to another optimizer.

`optimizer=sam optimizer.base=sgd`, or with options of its own `'optimizer.base={name: sgd, lr: 0.1}'`. Each step computes the
gradients twice. All of it is about the library's own constructors and `step`, which want a class in place of an optimizer, a
first call of the closure before the step, or a closure that returns more than a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytorch_optimizer
import torch
from pytorch_optimizer.base.optimizer import BaseOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from weft_pytorch_optimizer.wrapping import Base

Closure = Callable[[], Tensor]


class Sharpness(BaseOptimizer):
    """What such an optimizer is mixed with: the one that it gives its gradients to, and the closure's first call."""

    def __init__(
        self,
        params: Iterable[Any],
        model: nn.Module | None = None,
        base: Base = "adamw",  # type: ignore[assignment]
        **options: Any,
    ):
        super().__init__(params, partial(_sharing, base, model), **options)

    def step(self, closure: Closure) -> Tensor:
        """Update all weights; `closure` is called twice, and what it returned first is returned."""
        with torch.enable_grad():
            loss = closure()
        super().step(closure)
        return loss


class SAM(Sharpness, pytorch_optimizer.SAM):
    """Gradients at the highest loss within a radius, given to another optimizer (Foret et al., "SAM", 2021)."""


class LookSAM(Sharpness, pytorch_optimizer.LookSAM):
    """SAM that looks uphill only every k steps, and remembers the direction between (Liu et al. 2022)."""


class FriendlySAM(Sharpness, pytorch_optimizer.FriendlySAM):
    """SAM that moves uphill by the gradient's noise alone, without its mean (Li et al., "Friendly SAM", 2024)."""


class WSAM(pytorch_optimizer.WSAM):
    """SAM with the sharpness weighted as a regularizer of its own (Yue et al., "WSAM", 2023)."""

    def __init__(
        self,
        params: Iterable[Any],
        model: nn.Module,
        base: Base = "adamw",  # type: ignore[assignment]
        **options: Any,
    ):
        super().__init__(model, params, partial(_sharing, base, model), **options)

    def step(self, closure: Closure) -> Tensor:
        """Update all weights; `closure` is called twice, and what it returned first is returned."""
        loss: Tensor = super().step(closure)
        return loss


class GSAM(pytorch_optimizer.GSAM):
    """SAM that also narrows the gap between the loss uphill and the loss here (Zhuang et al., "GSAM", 2022); rho stays."""

    def __init__(
        self,
        params: Iterable[Any],
        model: nn.Module,
        base: Base = "adamw",  # type: ignore[assignment]
        rho: float = 0.05,
        **options: Any,
    ):
        given = list(params)
        super().__init__(given, base(params=given, model=model), model, _Constant(rho), **options)

    def step(self, closure: Closure) -> Tensor:
        """Update all weights; `closure` is called twice, and what it returned first is returned."""
        answer: tuple[None, Tensor] = super().step(torch.enable_grad()(lambda: (None, closure())))
        return answer[1]


class _Constant:
    """A schedule of rho that is none."""

    def __init__(self, value: float):
        self.value = value

    def step(self) -> float:
        """Return the value."""
        return self.value


def _sharing(base: Callable[..., Optimizer], model: nn.Module | None, groups: list[dict[str, Any]], **_: Any) -> Optimizer:
    """Return an optimizer of the weights in `groups`, whose own groups have the options of these, too; `_` is what the library
    gives beside, which stands in the groups.

    Raises:
        ValueError: both have an option of the same name.
    """
    made = base(params=[{"params": group["params"]} for group in groups], model=model)
    options = {
        id(weight): {name: value for name, value in group.items() if name not in ("params", "foreach")}
        for group in groups
        for weight in group["params"]
    }
    for group in made.param_groups:
        shared = options[id(group["params"][0])]
        if both := sorted(shared.keys() & group.keys()):
            raise ValueError(f"base: a {type(made).__name__} has an option {both[0]} of its own; take another one")
        group.update(shared)
    return made
