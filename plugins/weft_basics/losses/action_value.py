"""The loss of a Q-network: what an action is expected to be worth, against what it was."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from torch.nn import functional

from weft import Range
from weft_basics import beside
from weft_basics.experience import CONTROL, unpacked
from weft_basics.losses.precision import widened
from weft_basics.outputs import answer


def action_value(
    outputs: Tensor,
    targets: Tensor,
    delta: Annotated[float, Range(1e-3, 1e3, log=True), "error from which on the loss is no longer squared"] = 1.0,
) -> Tensor:
    """What each action is worth: the mean Huber loss of the scores of actions that were taken, against what came of them.

    Outputs (N, A) are what each action is expected to be worth, discounted (Q-values), of which only that of the action taken
    has a gradient. Targets (N, 4) are experience.
    """
    experience = unpacked(targets)
    scores = widened(answer(outputs))
    taken = scores.gather(1, experience.actions[:, None]).squeeze(1)
    return functional.huber_loss(taken, experience.worth.to(scores.dtype), delta=delta)


action_value.tasks = CONTROL  # type: ignore[attr-defined]
action_value.beside = beside.CONTROL  # type: ignore[attr-defined]
