"""Noise on the gradients that fades with time."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import nn

from weft import Range


class GradientNoise:
    """Adds normal noise to every gradient, of variance eta / (1 + t) ^ gamma at step t, counted from 0.

    Neelakantan et al., "Adding gradient noise improves learning for very deep networks", 2015, where eta is 0.01, 0.3 or 1.
    """

    def __init__(
        self,
        eta: Annotated[float, Range(1e-9, 10, log=True), "variance at the first step"] = 0.01,
        gamma: Annotated[float, Range(0, 5), "how fast it fades"] = 0.55,
    ):
        self.eta = eta
        self.gamma = gamma
        self.steps = 0

    @property
    def deviation(self) -> float:
        """The standard deviation at this step."""
        return float((self.eta / (1 + self.steps) ** self.gamma) ** 0.5)

    def gradients(self, model: nn.Module) -> None:
        """Add the noise, drawn from torch's own generator."""
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.add_(torch.randn_like(parameter.grad), alpha=self.deviation)

    def weights(self, model: nn.Module) -> None:
        """Count the step: some optimizers ask for gradients several times in one."""
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
