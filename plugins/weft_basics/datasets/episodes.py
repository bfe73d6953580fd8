"""Episodes that a policy learns from once: those that it has just played itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
from torch import Tensor

from weft import Range
from weft_basics.datasets.environment import Environment, Pair, acting


class Episodes(Environment):
    """An environment of gymnasium's, and whole episodes that the model has just played in it (on-policy).

    Samples are observations, targets (N, 4) what `weft_basics.experience` says: the action that was taken, and its return. For
    each step of the run episodes are played until there are at least `batch_size` steps of them; actions are drawn by the
    softmax of the model's outputs. It is measured by the best action alone, in `valid` and `test` other episodes. An episode
    that lasts as long as one may is taken to end there.

    Raises:
        ValueError: gymnasium isn't installed; no such environment, or one that isn't with some actions to choose from.
    """

    def __init__(
        self,
        split_seed: int,
        environment: Annotated[str, "gymnasium's name of it"] = "CartPole-v1",
        steps: Annotated[int, Range(1, 100_000_000, log=True), "in the environment that make an epoch, about"] = 5_000,
        played: Annotated[int, Range(1, 4096, log=True), "episodes at once"] = 4,
        valid: Annotated[int, Range(1, 10_000, log=True), "episodes after each epoch"] = 20,
        test: Annotated[int, Range(1, 10_000, log=True), "episodes in the end"] = 100,
        discount: Annotated[float, Range(0, 1), "what a reward is worth that comes a step later"] = 0.99,
    ):
        super().__init__(split_seed, environment, steps, valid, test, discount)
        self._played = played
        self._total = 0

    def training(self, run: Any) -> Iterator[Pair]:
        """Yield whole episodes, of at least as many steps as a batch has samples."""
        while True:
            pairs: list[Pair] = []
            with acting(run, drawn) as act:
                while sum(len(inputs) for inputs, _ in pairs) < run.configuration.settings.batch_size:
                    played = self.play(act, int(torch.randint(2**31, ())), self._played)
                    self._total += self._played
                    run.log({**played.summary(), "train/episodes": self._total})
                    pairs.append(played.pair())
            inputs, targets = (run.device.place(torch.cat(halves)) for halves in zip(*pairs, strict=True))
            yield inputs, targets

    def state_dict(self) -> dict[str, Any]:
        """Return how many episodes have been played."""
        return {"episodes": self._total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self._total = state["episodes"]


def drawn(scores: Tensor) -> Tensor:
    """Return actions drawn by the softmax of their scores (N, A)."""
    return torch.multinomial(scores.softmax(1), 1).squeeze(1)
