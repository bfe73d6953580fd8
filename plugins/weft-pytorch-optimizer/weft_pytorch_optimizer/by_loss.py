"""Optimizers that go by the loss itself: without the closure that computes it they are nothing, and say so in their signature.

Under fp16 the closure runs before the step, and weft refuses what needs it within.
"""

from __future__ import annotations

from collections.abc import Callable

import pytorch_optimizer
import torch
from pytorch_optimizer.base.optimizer import BaseOptimizer
from torch import Tensor


class ByLoss(BaseOptimizer):
    """What such an optimizer is mixed with: a closure that must be given, and whose loss has no graph."""

    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        """Update all weights by the gradients that `closure` computes, and by the loss that it returns."""
        with torch.enable_grad():
            loss = closure().detach()
        super().step(lambda: loss)
        return loss


class AliG(ByLoss, pytorch_optimizer.AliG):
    """Steps as long as the loss asks for, over the gradient's squared norm (Berrada et al., "ALI-G", 2020)."""


class EmoFact(ByLoss, pytorch_optimizer.EmoFact):
    """AdaFactor's second moment, scaled by how fast the loss changes."""


class EmoLynx(ByLoss, pytorch_optimizer.EmoLynx):
    """Lion's signs, scaled by how fast the loss changes."""


class EmoNavi(ByLoss, pytorch_optimizer.EmoNavi):
    """Adam's updates, scaled by how fast the loss changes."""
