"""Reinforcement learning: agents that keep a pole upright, from three seeds, and what is seen of how they learn."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from torch import Tensor

import weft
from tests.command import call
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
    steps = [step for step, _ in logged.rows]
    assert steps == sorted(set(steps))


@pytest.mark.integration
def test_agents_are_swept_and_what_they_did_is_in_mlflow(
    tmp_path: Path, template: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Tried first, as any sweep is; then episodes, returns and gradients of each run, and no word of samples known before."""
    (tmp_path / "runs").mkdir()
    shutil.copy(template, tmp_path / "runs" / "mlflow.db")
    small = ("epochs=2", "dataset.steps=500", "dataset.valid=3", "dataset.test=3", "observe.every=1", "reference=null")
    done = call("run", "-m", "+experiment=policy_gradient,q_learning", *small, "batch_size=100", folder=tmp_path)
    uri = f"sqlite:///{tmp_path}/runs/mlflow.db"
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("weft")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    runs = [run for run in runs if "dataset" in run.data.params]
    assert {run.data.params["dataset"] for run in runs} == {"episodes", "replay"}, done.stdout
    for run in runs:
        played = {
            name: client.get_metric_history(run.info.run_id, f"train/{name}")
            for name in ("return", "episode_length", "episodes")
        }
        assert next(point.step for point in played["return"]) == 0
        for one, other in zip(played["return"], played["episode_length"], strict=True):
            assert one.value == other.value  # a reward of 1 for each step
        counts = [point.value for point in played["episodes"]]
        assert counts == sorted(set(counts))
        (weights, *_) = [name for name in run.data.metrics if name.startswith("grad_norm/")]
        assert [point.step for point in client.get_metric_history(run.info.run_id, weights)] == [*range(1, 11)]
        assert {"valid/return", "valid/loss", "test/return"} <= run.data.metrics.keys()
        (dataset,) = run.inputs.dataset_inputs
        assert json.loads(dataset.dataset.profile)["train"] == 500
        assert "valid" not in json.loads(dataset.dataset.profile)
        caplog.set_level(logging.WARNING, "weft")
        weft.evaluate(run.info.run_id, "dataset.test=5", uri=uri)
        assert caplog.messages == []
