"""Reinforcement learning: agents that keep a pole upright, from three seeds, and what is seen of how they learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from torch import Tensor

from tests.experiments.fitting import fit
from weft import Callback, loop
from weft_basics.experience import unpacked


class Logged(Callback):
    """Keeps what is logged, with its step."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []

    def on_fit_start(self, run: Any) -> None:
        def log(values: Mapping[str, float | Tensor]) -> None:
            self.rows.append((run.step, {name: float(value) for name, value in values.items()}))

        run.log = log


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.accept) for seed in (1, 2))])
@pytest.mark.parametrize("experiment", ["policy_gradient", "q_learning"])
def test_it_keeps_the_pole_up(experiment: str, seed: int) -> None:
    """The mean of 100 episodes, none of which was trained on, is at least 195, as gymnasium asks of CartPole-v0."""
    logged = Logged()
    run = fit(experiment, f"seed={seed}", watching=(logged,))
    assert sum(int(unpacked(targets).ends.sum()) for _, targets in run.every("test")) == 100
    scores = loop.evaluate(run, "test")
    assert scores["test/return"] >= 195, scores
    returns = [values["train/return"] for _, values in logged.rows]
    assert returns[0] < 60 < 150 < max(returns)
    episodes = [values["train/episodes"] for _, values in logged.rows]
    assert episodes == sorted(episodes)
    assert [step for step, _ in logged.rows] == sorted(step for step, _ in logged.rows)
