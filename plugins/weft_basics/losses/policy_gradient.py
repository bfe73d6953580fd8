"""The loss of a policy: what turned out well is to be done more often."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from torch import Tensor, nn

from weft import Range
from weft_basics.beside import ACTOR_CRITIC
from weft_basics.experience import CONTROL, unpacked
from weft_basics.losses.precision import widened
from weft_basics.outputs import answer


class PolicyGradient(nn.Module):
    """Actions that turned out well are made more probable: the mean of -log π(a|s) · (worth - baseline) (REINFORCE).

    Outputs are scores of actions (N, A), or those and what each state is expected to be worth (N,), as actor_critic gives them:
    that is the baseline then, and its squared error is part of the loss. Without, worth is held against 0. Targets (N, 4) are
    experience that the model has just made itself. The more even its choice the smaller the loss, by `entropy`. Williams,
    "Simple statistical gradient-following algorithms for connectionist reinforcement learning", 1992.
    """

    tasks = CONTROL
    on_policy = True
    beside: ClassVar[dict[str, Any]] = ACTOR_CRITIC
    cannot: ClassVar[dict[str, str]] = {"gradients": "the baseline is held fixed where it is subtracted"}

    def __init__(
        self,
        value_weight: Annotated[float, Range(0, 100), "of half the squared error of the baseline"] = 0.5,
        entropy: Annotated[float, Range(0, 10), "reward for not being sure, for each nat"] = 0.01,
    ):
        super().__init__()
        self.value_weight = value_weight
        self.entropy = entropy

    def forward(self, outputs: Tensor | tuple[Tensor, ...], targets: Tensor) -> Tensor:
        experience = unpacked(targets)
        logarithms = widened(answer(outputs)).log_softmax(1)
        worth = experience.worth.to(logarithms.dtype)
        advantage, error = worth, 0.0 * worth
        if isinstance(outputs, tuple):
            values = widened(outputs[1])
            advantage, error = worth - values.detach(), (worth - values).square() / 2
        chosen = logarithms.gather(1, experience.actions[:, None]).squeeze(1)
        uncertainty = -(logarithms.exp() * logarithms).sum(1)
        return (self.value_weight * error - chosen * advantage - self.entropy * uncertainty).mean()
