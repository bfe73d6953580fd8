"""Schedule-free optimizers, and those that keep an average of the weights: trained at one point, evaluated at another.

The library asks for `train()` before a step and `eval()` before an evaluation. A run doesn't say when it evaluates, keeps its
best weights or saves them; but it hands each step the closure that computes its gradients. So the change is made around every
step: between steps the model has the weights that it is evaluated with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_optimizer
from pytorch_optimizer.base.optimizer import BaseOptimizer
from torch import Tensor, nn

from weft_pytorch_optimizer.wrapping import Base


class Averaged(BaseOptimizer):
    """What such an optimizer is mixed with: weights to train at within a step, and the average of them at all other times."""

    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        """Update all weights by the gradients that `closure` computes; return what it returns."""
        self.train()
        loss: Tensor = super().step(closure)
        self.eval()
        return loss


class ScheduleFreeSGD(Averaged, pytorch_optimizer.ScheduleFreeSGD):
    """Gradient descent on an average of the weights, without a schedule (Defazio et al., "The road less scheduled", 2024)."""


class ScheduleFreeAdamW(Averaged, pytorch_optimizer.ScheduleFreeAdamW):
    """AdamW on an average of the weights, without a schedule (Defazio et al., "The road less scheduled", 2024)."""


class ScheduleFreeRAdam(Averaged, pytorch_optimizer.ScheduleFreeRAdam):
    """RAdam on an average of the weights, without a schedule or a warm-up (Defazio et al. 2024)."""


class ScheduleFreeWrapper(Averaged, pytorch_optimizer.ScheduleFreeWrapper):
    """Any optimizer on an average of the weights, without a schedule (Defazio et al., "The road less scheduled", 2024)."""

    def __init__(
        self,
        params: Iterable[Any],
        model: nn.Module | None = None,
        base: Base = "sgd",  # type: ignore[assignment]
        **options: Any,
    ):
        super().__init__(base(params=params, model=model), **options)


class SPlus(Averaged, pytorch_optimizer.SPlus):
    """Steps along the signs of gradients in their eigenbasis, evaluated at an average of the weights (Frans et al. 2025)."""

    def eval(self) -> None:
        """Give the weights their average, those that have one: the library's own fails at a weight without a gradient."""
        whole = [group["params"] for group in self.param_groups]
        for group in self.param_groups:
            group["params"] = [weight for weight in group["params"] if "ema" in self.state[weight]]
        try:
            super().eval()
        finally:
            for group, weights in zip(self.param_groups, whole, strict=True):
                group["params"] = weights
