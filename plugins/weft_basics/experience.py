"""What everything that learns from an environment agrees on: what a step's target says."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CONTROL = ("control",)
"""Tasks whose targets are experience."""
FIELDS = 4


class Experience(NamedTuple):
    """What was done at each of N steps in environments, and what came of it.

    `actions` (N,) are whole numbers from 0 on; `worth` (N,) is what each turned out to be worth, discounted: its return, or an
    estimate of that; `rewards` (N,) are those of the steps themselves; `ends` (N,) is 1 at an episode's last step, else 0.
    """

    actions: Tensor
    worth: Tensor
    rewards: Tensor
    ends: Tensor


def packed(experience: Experience) -> Tensor:
    """Return experience as targets (N, 4)."""
    return torch.stack([field.to(experience.worth.dtype) for field in experience], 1)


def unpacked(targets: Tensor) -> Experience:
    """Return the experience that targets (N, 4) hold."""
    actions, worth, rewards, ends = targets.unbind(1)
    return Experience(actions.long(), worth, rewards, ends)
