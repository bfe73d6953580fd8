"""weft's experiment `frameworks`: one network in PyTorch, in Keras and in TensorFlow, as one sweep."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import Weft

MODELS = ("mlp", "keras_mlp", "tensorflow_mlp")


@pytest.mark.skipif(find_spec("weft_keras") is None, reason="needs weft-keras as well, as `make weft-tensorflow` has it")
def test_the_three_curves_are_one(weft_command: Weft, here: Path) -> None:
    from mlflow.tracking import MlflowClient

    shown = weft_command("run", "-m", "+experiment=frameworks", f"model={','.join(MODELS)}", "sweep.name=three").stdout
    assert "3 of 3 met their reference" in shown, shown
    client = MlflowClient(f"sqlite:///{here / 'runs' / 'mlflow.db'}")
    (experiment,) = [found.experiment_id for found in client.search_experiments() if found.name == "weft"]
    runs = {
        run.data.params["model"]: run.info.run_id for run in client.search_runs([experiment]) if run.data.params.get("model")
    }
    assert sorted(runs) == sorted(MODELS)
    for score in ("valid/loss", "train/loss"):
        curves = {model: [point.value for point in client.get_metric_history(run, score)] for model, run in runs.items()}
        assert len(curves["mlp"]) >= 20
        for model in MODELS:
            assert curves[model] == pytest.approx(curves["mlp"], rel=1e-9, abs=1e-12), (model, score)
