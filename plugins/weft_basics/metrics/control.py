"""What an agent comes to."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from weft_basics import beside
from weft_basics.experience import CONTROL, unpacked


class Return:
    """Mean sum of the rewards of an episode, undiscounted.

    Targets (N, 4) are experience of whole episodes, one after the other; outputs are not looked at. Where none has ended, a
    part of one counts as one.
    """

    tasks = CONTROL
    higher_is_better = True
    beside: ClassVar[dict[str, Any]] = beside.CONTROL

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.rewards = self.episodes = 0.0

    def update(self, outputs: Any, targets: Tensor) -> None:
        experience = unpacked(targets)
        self.rewards += float(experience.rewards.sum())
        self.episodes += float(experience.ends.sum())

    def compute(self) -> float:
        return self.rewards / max(1.0, self.episodes)
