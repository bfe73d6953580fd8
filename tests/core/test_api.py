"""weft from Python: run, load, register; what a run leaves in MLflow, read back."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import weft
from tests.core.telemetry.conftest import stop_shipper
from weft import catalog as catalog_module
from weft.catalog import catalog
from weft.folder import Folder

pytestmark = pytest.mark.integration


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Path) -> Iterator[Path]:
    """A current folder with a migrated store; what a test registers is gone after it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    shutil.copy(template, tmp_path / "runs" / "mlflow.db")
    catalog.cache_clear()
    yield tmp_path
    catalog_module._local.clear()
    catalog.cache_clear()
    stop_shipper("sqlite:///runs/mlflow.db")


def test_a_result_has_scores_run_id_and_model(here: Path) -> None:
    before = torch.get_rng_state()
    result = weft.run("model=mlp", "dataset=iris", "epochs=30", "optimizer.lr=0.01")
    assert result.status == "FINISHED"
    assert result.scores["test/accuracy"] > 0.8
    assert result.score == result.scores["valid/loss"]
    assert result.model is not None
    assert torch.equal(before, torch.get_rng_state()), "a notebook's own randomness is its own"


@pytest.mark.parametrize(
    "options", [["model=mlp"], ["model=cnn", "regularizer=[dropout,max_norm]"], ["model=rnn", "precision=fp64"]]
)
def test_a_loaded_model_gives_the_same_bits(here: Path, options: list[str]) -> None:
    result = weft.run("epochs=2", *options)
    assert result.model is not None
    kind = next(result.model.parameters()).dtype
    inputs = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(0)).to(kind)
    with torch.no_grad():
        expected = result.model(inputs)
        for name in (result.run_id, result.folder, str(result.folder / "model")):
            assert torch.equal(weft.load(name)(inputs), expected)
    with pytest.raises(weft.ConfigError, match="weights: 'first' is none of best, last"):
        weft.load(result.run_id, weights="first")
    with pytest.raises(weft.ConfigError, match="no-such-run"):
        weft.load("no-such-run")


def test_the_best_weights_are_tested_and_the_last_ones_kept(here: Path) -> None:
    result = weft.run("dataset=two_moons", "model=mlp", "optimizer=sgd", "optimizer.lr=5", "epochs=12", "seed=3")
    record = Folder(result.folder).record()
    valid = _series(here, result.run_id, "valid/loss")
    best = min(valid, key=lambda row: row[1])
    assert result.score == pytest.approx(best[1])
    assert record["best_epoch"] == [row[0] for row in valid].index(best[0]) + 1
    loaded = {name: weft.load(result.folder, weights=name).state_dict() for name in ("best", "last")}
    differ = any(not torch.equal(loaded["best"][name], loaded["last"][name]) for name in loaded["best"])
    assert differ == (record["best_epoch"] != 12)


def test_the_weights_that_were_tested_are_loaded_and_evaluated(here: Path) -> None:
    result = weft.run(
        "dataset=two_moons", "model=mlp", "optimizer=sgd", "optimizer.lr=5", "epochs=12", "seed=3", "test_weights=last"
    )
    loaded, best, last = (weft.load(result.folder, weights=name).state_dict() for name in (None, "best", "last"))
    assert any(not torch.equal(best[name], last[name]) for name in last), "both are the same: nothing is shown"
    assert all(torch.equal(loaded[name], last[name]) for name in last)
    found = weft.evaluate(result.folder)
    assert found == {name: result.scores[name] for name in found}
    assert weft.evaluate(result.folder, "weights=best") != found
    assert result.score == result.scores["valid/loss"] == _series(here, result.run_id, "valid/loss")[-1][1]


def _series(here: Path, run_id: str, key: str) -> list[tuple[int, float]]:
    from mlflow import MlflowClient

    found = MlflowClient(f"sqlite:///{here}/runs/mlflow.db").get_metric_history(run_id, key)
    return sorted((metric.step, metric.value) for metric in found)


def test_every_series_is_there_once_a_step(here: Path) -> None:
    result = weft.run("epochs=3", "model=linear", "observe.every=7", "batch_size=64", "regularizer=l2")
    steps = 3 * math.ceil(len(_digits()[0]) / 64)
    looked = [1, *range(7, steps + 1, 7)]
    assert [step for step, _ in _series(here, result.run_id, "grad_norm/output.weight")] == looked or [
        step for step, _ in _series(here, result.run_id, _first(here, result.run_id, "grad_norm/"))
    ] == looked
    ends = [steps // 3, 2 * steps // 3, steps]
    assert [step for step, _ in _series(here, result.run_id, "train/loss")] == sorted({*looked, *ends})
    assert [step for step, _ in _series(here, result.run_id, "valid/accuracy")] == ends
    assert [step for step, _ in _series(here, result.run_id, "train/penalty.l2")] == sorted({*looked, *ends})


def _digits() -> Any:
    from weft.experiment import prepare

    found, _ = __import__("weft.compose", fromlist=["configured"]).configured([])
    return prepare(found, catalog()).data.splits["train"]


def _first(here: Path, run_id: str, prefix: str) -> str:
    from mlflow import MlflowClient

    keys = MlflowClient(f"sqlite:///{here}/runs/mlflow.db").get_run(run_id).data.metrics
    return next(key for key in sorted(keys) if key.startswith(prefix) and key.endswith("weight"))


def test_a_component_of_the_notebook(here: Path) -> None:
    @weft.register("model")
    class Tiny(nn.Sequential):
        """One layer."""

        def __init__(self, inputs: tuple[int, ...], outputs: int, scale: float = 2.0):
            super().__init__(nn.Flatten(), nn.Linear(math.prod(inputs), outputs))
            self.scale = scale

    result = weft.run("model=tiny", "model.scale=3", "dataset=wine", "epochs=1")
    assert type(result.model).__name__ == "Tiny"
    assert result.model.scale == 3.0  # type: ignore[union-attr]
    with pytest.raises(weft.ConfigError, match=r"model.scal: no such key .did you mean 'scale'"):
        weft.run("model=tiny", "model.scal=3")


def test_a_mistake_raises_and_writes_nothing(here: Path) -> None:
    before = sorted(path.name for path in (here / "runs").iterdir())
    with pytest.raises(weft.UserError, match="no model named 'mpl'"):
        weft.run("model=mpl")
    with pytest.raises(weft.UserError, match="doesn't fit|takes images"):
        weft.run("model=cnn", "dataset=iris")
    assert sorted(path.name for path in (here / "runs").iterdir()) == before


def test_a_failure_of_a_part_is_recorded_with_its_traceback(here: Path) -> None:
    @weft.register("callback", name="broken")
    class Broken(weft.Callback):
        """Fails at step 3."""

        def on_step_end(self, run: weft.Run) -> None:
            if run.step == 3:
                raise RuntimeError("not today: postgresql://ann:hush@host/db")

    with pytest.raises(RuntimeError, match="not today"):
        weft.run("model=linear", "callback=broken")
    (record,) = (here / "runs").glob("*/*/run.json")
    assert json.loads(record.read_text())["status"] == "FAILED"
    told = (record.parent / "traceback.txt").read_text()
    assert "not today: postgresql://[redacted]@host/db" in told
    assert "hush" not in told


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("precision", ["fp64", "fp32", "bf16", "fp16"])
def test_devices_and_precisions(here: Path, device: str, precision: str) -> None:
    result = weft.run("model=cnn", f"device={device}", f"precision={precision}", "epochs=6", "optimizer.lr=0.01")
    assert result.scores["test/accuracy"] > 0.85


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_model_learns_the_same(here: Path) -> None:
    plain = weft.run("model=mlp", "epochs=2", "precision=fp64", "regularizer=[l2]")
    compiled = weft.run("model=mlp", "epochs=2", "precision=fp64", "regularizer=[l2]", "compile=true")
    assert compiled.scores["valid/loss"] == pytest.approx(plain.scores["valid/loss"], rel=1e-6)
    inputs = torch.rand(3, 1, 8, 8, dtype=torch.float64)
    assert compiled.model is not None
    assert torch.equal(weft.load(compiled.folder)(inputs), compiled.model(inputs))


def test_class_weights_and_parameter_groups_and_a_warm_start(here: Path) -> None:
    first = weft.run("model=mlp", "epochs=3", "class_weights=balanced")
    assert first.model is not None
    frozen = weft.run(
        "model=mlp",
        "epochs=1",
        f"init_from={first.run_id}",
        "optimizer=sgd",
        "parameter_groups=[{pattern: '*.bias', lr: 1e-6}, {pattern: '*.weight', lr: 0.1}]",
    )
    assert frozen.model is not None
    for (name, now), then in zip(frozen.model.named_parameters(), first.model.parameters(), strict=True):
        assert (float((now - then).detach().norm()) < 1e-4) == name.endswith("bias")
    with pytest.raises(weft.ConfigError, match=r"init_from: the weights of .* don't fit this model"):
        weft.run("model=cnn", f"init_from={first.folder}")


def test_early_stopping_clipping_and_plateau(here: Path) -> None:
    result = weft.run(
        "dataset=iris",
        "model=linear",
        "callback=[early_stopping,clip_norm,reduce_on_plateau]",
        "callback.early_stopping.patience=2",
        "callback.early_stopping.min_delta=10",
        "epochs=50",
    )
    assert Folder(result.folder).record()["epoch"] == 3


def test_secrets_stay_here(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weft.run("model=linear", "epochs=1", "tags={api_key: sk-canary-123456, team: blue}")
    found = [path for path in here.rglob("*") if path.is_file() and b"sk-canary-123456" in path.read_bytes()]
    assert [path.name for path in found] == ["config.yaml"]
    assert found[0].stat().st_mode & 0o077 == 0


def test_sweepers_are_given_the_objective(here: Path) -> None:
    from weft.compose import CONFIG, hydra_app
    from weft.sweep.job import task

    with hydra_app() as hydra:
        ((first, second),) = hydra.multirun(
            CONFIG, task, ["dataset=iris", "model=linear", "epochs=1,4", "sweep.name=s", "hydra.mode=MULTIRUN"], False
        )
    scores = [Folder(here / "runs" / "sweeps" / "s" / number).record()["score"] for number in ("0", "1")]
    assert [first.return_value, second.return_value] == scores
    assert scores[0] > scores[1]


def test_a_run_goes_on_from_any_folder_and_only_once_at_a_time(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock
    from mlflow import MlflowClient

    from weft import api

    result = weft.run("model=linear", "dataset=iris", "epochs=2", "callback=early_stopping", "hydra.run.dir=runs/a")
    with pytest.raises(weft.ConfigError, match="holds a run already"):
        weft.run("model=linear", "dataset=iris", "hydra.run.dir=runs/a")
    shutil.copytree("runs/a", "copy")
    before = (here / "copy" / "run.json").read_text()
    with pytest.raises(weft.ConfigError, match=r"copy: is a copy of .*runs/a, whose run it is: go on there"):
        api.resume("copy", "epochs=3")
    assert (here / "copy" / "run.json").read_text() == before
    with pytest.raises(weft.ConfigError, match="is finished; epochs=N makes it longer"):
        api.resume(result.folder)
    with pytest.raises(weft.ConfigError, match="epochs: 2 is no more than the 2 that are done"):
        api.resume(result.folder, "epochs=2")
    with FileLock(result.folder / ".lock"), pytest.raises(weft.ConfigError, match="this run is under way"):
        api.resume(result.folder, "epochs=3")
    config = Folder(result.folder).read_config()
    Folder(result.folder).write_config({**config, "epochs": 9})
    with pytest.raises(weft.ConfigError, match="epochs: 3 is less than the 9 that the run is to have"):
        api.resume(result.folder, "epochs=3")
    Folder(result.folder).write_config(config)
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    longer = api.resume(result.folder, "epochs=5")
    assert (longer.run_id, Folder(result.folder).record()["epoch"]) == (result.run_id, 5)
    assert Folder(result.folder).record()["overrides"][:2] == ["model=linear", "dataset=iris"]
    tags = MlflowClient(f"sqlite:///{here}/runs/mlflow.db").get_run(longer.run_id).data.tags
    assert tags["weft.overrides"].startswith("model=linear dataset=iris epochs=2")
    assert list(elsewhere.iterdir()) == []


def test_a_schedule_that_has_come_to_its_end_is_not_made_longer(here: Path) -> None:
    from weft import api

    result = weft.run("model=linear", "dataset=iris", "epochs=1", "scheduler=cosine")
    with pytest.raises(weft.ConfigError, match="epochs: scheduler=cosine follows from the run's length"):
        api.resume(result.folder, "epochs=5")


def test_a_part_that_exits_fails_its_run(here: Path) -> None:
    @weft.register("callback", name="leaving")
    class Leaving(weft.Callback):
        """Ends the process, it thinks."""

        def on_step_end(self, run: weft.Run) -> None:
            raise SystemExit(3)

    with pytest.raises(SystemExit):
        weft.run("model=linear", "dataset=iris", "callback=leaving")
    (record,) = (here / "runs").glob("*/*/run.json")
    assert json.loads(record.read_text())["status"] == "FAILED"


def test_parts_that_break_their_contract_are_named_before_anything_is_written(here: Path) -> None:
    before = sorted(path.name for path in (here / "runs").iterdir())

    class Half:
        def __init__(self, params: object):
            pass

        def step(self, closure: object) -> None: ...

    class Fixed(torch.optim.Optimizer):
        def __init__(self, params: Any):
            super().__init__(params, {})

    weft.register("optimizer", Half, "half")
    weft.register("optimizer", Fixed, "fixed")
    weft.register("regularizer", lambda model, weight=1.0: 0.0, "zero")
    weft.register("dataset", lambda split_seed: 1 / 0, "torn")
    weft.register("metric", lambda outputs, targets: 0.5, "loss")
    for override, message in (
        ("optimizer=half", "made a Half, which has no zero_grad, state_dict, load_state_dict"),
        ("regularizer=zero", "regularizer=zero: its penalty is 0.0, no scalar tensor"),
        ("dataset=torn", "dataset=torn: ZeroDivisionError: division by zero"),
        ("optimizer=fixed scheduler=cosine", "scheduler=cosine: moves a learning rate, and optimizer=fixed has none"),
        ("metric=[loss]", "'loss' is the loss's own name among the scores"),
    ):
        with pytest.raises(weft.UserError, match=message):
            weft.run("model=linear", *override.split())
    assert sorted(path.name for path in (here / "runs").iterdir()) == before


def test_lazy_modules_learn_their_sizes(here: Path) -> None:
    class Lazy(nn.Sequential):
        """Layers that see what comes."""

        def __init__(self, outputs: int):
            super().__init__(nn.Flatten(), nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(outputs))

    weft.register("model", Lazy)
    result = weft.run("model=lazy", "epochs=1")
    assert result.scores["valid/accuracy"] > 0.1
