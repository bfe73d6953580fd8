"""What an agent comes to."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from weft_basics import beside
from weft_basics.experience import CONTROL, unpacked


class Return:
    """Mean sum of the rewards of an episode, undiscounted.

    Targets (N, 4) are experience of whole episodes; outputs are not looked at. A part of one counts as one.
    """

    tasks = CONTROL
    higher_is_better = True
    beside: ClassVar[dict[str, Any]] = beside.CONTROL

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.rewards: Tensor | float = 0.0
        self.episodes: Tensor | float = 0.0

    def update(self, outputs: Any, targets: Tensor) -> None:
        experience = unpacked(targets)
        self.rewards = self.rewards + experience.rewards.double().sum()
        self.episodes = self.episodes + experience.ends.sum()

    def compute(self) -> float:
        return float(self.rewards) / max(1.0, float(self.episodes))
