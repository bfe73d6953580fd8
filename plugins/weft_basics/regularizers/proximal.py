"""The l1 penalty as a step of its own: weights that should be zero are exactly zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from weft import UserError
from weft_basics.regularizers.penalties import Strength, weights

if TYPE_CHECKING:
    from weft import Run


class ProximalL1:
    """After each step all weights come nearer to zero by rate · strength, and stop there; biases are left alone.

    What is minimised is that of l1: the loss plus strength times the sum of all |w|. But a gradient step on |w| jumps over the
    corner at zero, for ever; this lands on it. With sgd on whole batches it is proximal gradient descent (ISTA), whose end is
    the lasso's (Parikh and Boyd, "Proximal algorithms", 2014, section 4.2). The penalty is no part of the recorded loss.

    Raises:
        UserError: before the run, when the optimizer is not sgd without momentum and weight decay. For others the rate is not
            how far a gradient of one moves a weight, and the end would not be the lasso's. (Nor is it where gradients are
            clipped.)
    """

    def __init__(self, weight: Strength = 1e-4):
        self.weight = weight

    def check(self, run: Run) -> None:
        """Refuse an optimizer whose steps this doesn't belong to."""
        plain = isinstance(run.optimizer, torch.optim.SGD)
        if not plain or any(group["momentum"] or group["weight_decay"] for group in run.optimizer.param_groups):
            raise UserError(
                f"regularizer=proximal_l1: its steps belong to plain gradient descent, not to "
                f"{type(run.optimizer).__name__}{' with momentum or weight decay' if plain else ''}: take "
                "optimizer=sgd with neither, or regularizer=l1"
            )
        self.optimizer = run.optimizer
        self.penalised = {id(parameter) for parameter in weights(run.model)}

    @torch.no_grad()
    def weights(self, model: nn.Module) -> None:
        """Pull all weights that are trained towards zero, in place, by the rates of the step just made."""
        for group in self.optimizer.param_groups:  # other ones after a checkpoint was read
            for parameter in group["params"]:
                if id(parameter) in self.penalised:
                    parameter.copy_(nn.functional.softshrink(parameter, group["lr"] * self.weight))
