"""An actor and a critic: what to do, and what to expect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NamedTuple

from torch import Tensor, nn

from weft import Choice, Range
from weft_basics.beside import ACTOR_CRITIC
from weft_basics.experience import CONTROL
from weft_basics.models.mlp import MLP


class Judged(NamedTuple):
    """Scores of actions (N, A), which are logarithms of probabilities but for a constant, and what states are expected to be
    worth (N,)."""

    scores: Tensor
    values: Tensor


class ActorCritic(nn.Module):
    """Two multilayer perceptrons: one that chooses actions, and one that says what a state is worth.

    (N, *inputs) -> scores (N, outputs) and values (N,). With the loss policy_gradient the second is the first one's baseline.
    Sutton and Barto, "Reinforcement learning", 2018, section 13.4.

    Raises:
        ValueError: the samples are tokens.
    """

    tasks = CONTROL
    beside: ClassVar[dict[str, Any]] = {name: part for name, part in ACTOR_CRITIC.items() if name != "model"}

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        width: Annotated[int, Range(1, 16384, log=True), "units in a hidden layer"] = 64,
        depth: Annotated[int, Range(1, 32), "number of hidden layers of either"] = 1,
        activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "tanh",  # type: ignore[assignment]
    ):
        super().__init__()
        self.actor, self.critic = (
            MLP(inputs, count, vocabulary, width=width, depth=depth, activation=activation, output_activation=nn.Identity)
            for count in (outputs, 1)
        )

    def forward(self, inputs: Tensor) -> Judged:
        return Judged(self.actor(inputs), self.critic(inputs).squeeze(1))
