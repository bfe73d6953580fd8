"""Noise on the gradients, less of it with time."""

from typing import Annotated, Any

import torch
from torch import nn

from weft import Range


class GradientNoise:
    """Adds normal noise of variance eta / (1 + t)^gamma to every gradient at step t (Neelakantan et al. 2015)."""

    def __init__(
        self,
        eta: Annotated[float, Range(0, 100), "variance at the first step"] = 0.01,
        gamma: Annotated[float, Range(0, 10), "how fast it goes down"] = 0.55,
    ):
        self.eta = eta
        self.gamma = gamma
        self.step = 0

    @torch.no_grad()
    def gradients(self, model: nn.Module) -> None:
        """Add the noise."""
        deviation = (self.eta / (1 + self.step) ** self.gamma) ** 0.5
        self.step += 1
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.add_(torch.randn_like(parameter.grad), alpha=deviation)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of steps so far."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self.step = state["step"]
