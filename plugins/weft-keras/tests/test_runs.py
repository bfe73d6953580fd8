"""Keras models in weft's runs: from Python, and by its command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import weft
from tests.conftest import Weft


class Watched(weft.Callback):
    """Keeps the scores of each epoch and the model's parameters at the end."""

    def __init__(self) -> None:
        self.scores: list[dict[str, float]] = []
        self.parameters: list[torch.Tensor] = []

    def on_epoch_end(self, run: Any) -> None:
        self.scores.append(dict(run.scores))

    def on_fit_end(self, run: Any) -> None:
        self.parameters = [parameter.detach().clone() for parameter in run.model.parameters()]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, which all output goes to."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def watched(*overrides: str) -> Watched:
    watching = Watched()
    weft.run(*overrides, watching=[watching])
    return watching


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mlp", ["model.depth=2", "model.activation=tanh"]),
        ("mlp", ["optimizer=sgd", "optimizer.lr=0.1", "optimizer.momentum=0.9", "regularizer=[l2,dropout]"]),
        ("cnn", ["model.channels=[4,8]"]),
    ],
)
def test_from_one_seed_it_goes_the_way_of_weft_s_model(name: str, options: list[str], here: Path) -> None:
    common = ["dataset=digits", "precision=fp64", "epochs=4", "seed=3", *options]
    theirs, ours = watched(f"model={name}", *common), watched(f"model=keras_{name}", *common)
    assert len(theirs.scores) == 4
    for there, found in zip(theirs.scores, ours.scores, strict=True):
        assert found == pytest.approx(there, rel=1e-9, abs=1e-9)
    turned = {2: (1, 0), 4: (2, 3, 1, 0)}
    for there, found in zip(theirs.parameters, ours.parameters, strict=True):
        assert torch.allclose(found, there.permute(turned[there.ndim]) if there.ndim in turned else there, rtol=1e-8, atol=1e-9)


def test_weights_gradients_and_updates_are_recorded_by_their_names(here: Path) -> None:
    result = weft.run("model=keras_mlp", "epochs=2", "observe.every=1")
    from mlflow import MlflowClient

    run_id = result.run_id  # once it is there: a store that is opened meanwhile would be made twice
    keys = MlflowClient(f"sqlite:///{here}/runs/mlflow.db").get_run(run_id).data.metrics
    for statistic in ("grad_norm", "param_norm", "update_ratio"):
        for name in ("hidden_0.kernel", "hidden_0.bias", "output.kernel", "output.bias"):
            assert keys[f"{statistic}/{name}"] > 0


@pytest.mark.parametrize(
    "name", ["keras_mlp", "keras_cnn", "keras_rnn", "keras_transformer", "keras_mobilenet", "keras_resnet", "keras_layers"]
)
def test_a_saved_model_comes_back_the_same(name: str, here: Path) -> None:
    result = weft.run(f"model={name}", "epochs=1")
    again = weft.load(result.folder)
    samples = torch.randn(7, 1, 8, 8)
    assert result.model is not None
    with torch.no_grad():
        assert torch.equal(again(samples), result.model.eval()(samples))


def test_a_sweep_takes_it_beside_weft_s_models(weft_command: Weft, tmp_path: Path) -> None:
    weft_command("run", "-m", "model=mlp,keras_mlp", "optimizer=sgd,adamw", "dataset=digits", "precision=fp64", "epochs=2")
    records = [json.loads(file.read_text()) for file in tmp_path.glob("runs/sweeps/*/[0-9]/run.json")]
    assert [record["status"] for record in records] == ["FINISHED"] * 4
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = [run for run in client.search_runs(experiments) if "weft.summary" not in run.data.tags]
    losses = {(run.data.params["model"], run.data.params["optimizer"]): run.data.metrics["test/loss"] for run in runs}
    assert len(losses) == 4
    for optimizer in ("sgd", "adamw"):
        assert losses["keras_mlp", optimizer] == pytest.approx(losses["mlp", optimizer], rel=1e-9)


def test_another_backend_is_refused_in_one_sentence_and_nothing_is_written(weft_command: Weft, tmp_path: Path) -> None:
    told = weft_command("run", "model=keras_mlp", status=2, KERAS_BACKEND="tensorflow").stderr
    assert "KERAS_BACKEND is tensorflow, and weft trains with torch: unset it, or set it to torch" in told
    assert "Traceback" not in told
    assert [*tmp_path.iterdir()] == []
