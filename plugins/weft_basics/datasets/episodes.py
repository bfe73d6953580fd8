"""Episodes that a policy learns from once: those that it has just played itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from weft_basics.datasets.environment import AtOnce, Discount, Environment, Name, Pair, Steps, Test, Valid


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
        environment: Name = "CartPole-v1",
        steps: Steps = 5_000,
        played: AtOnce = 4,
        valid: Valid = 20,
        test: Test = 100,
        discount: Discount = 0.99,
    ):
        super().__init__(split_seed, environment, steps, played, valid, test, discount)

    def training(self, run: Any) -> Iterator[Pair]:
        """Yield whole episodes, of at least as many steps as a batch has samples."""
        while True:
            found = self.played_on(run, drawn, run.configuration.settings.batch_size)
            inputs, targets = (torch.cat(halves) for halves in zip(*(played.pair() for played in found), strict=True))
            yield run.device.place(inputs), run.device.place(targets)


def drawn(scores: Tensor) -> Tensor:
    """Return actions drawn by the softmax of their scores (N, A): that whose score is largest with Gumbel's noise added. Scores
    that are not finite are not refused: the loss will be so too, and says where that comes from."""
    noise = -torch.empty_like(scores).exponential_().log()
    return (scores.log_softmax(1) + noise).argmax(1)
