"""Drops of the learning rate at given steps."""

from collections import Counter
from typing import Annotated, Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from weft import Range


class MultiStep(MultiStepLR):
    """Multiply the learning rate by `gamma` at each of `milestones`, which are steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Annotated[list[int], Range(1, 2**31), "steps at which it drops"],
        gamma: Annotated[float, Range(0, 1)] = 0.1,
    ):
        super().__init__(optimizer, milestones, gamma)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, the milestones as a plain dict: torch keeps a Counter."""
        return {**super().state_dict(), "milestones": dict(self.milestones)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        super().load_state_dict({**state, "milestones": Counter(state["milestones"])})
