"""A saved run's model, evaluated again: its own scores, other data, and what is refused."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

import weft
from tests.command import call
from weft import catalog as catalog_module
from weft import evaluation
from weft.catalog import catalog
from weft.folder import Folder

pytestmark = pytest.mark.integration


class Trained(NamedTuple):
    """A run, and the store it is in."""

    result: weft.Result
    uri: str

    def own(self) -> dict[str, float]:
        return {name: score for name, score in self.result.scores.items() if name.startswith("test/")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Path:
    """An output folder, with a store that has its tables."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copy(template, folder / "mlflow.db")
    return folder


def files(folder: Path) -> list[Path]:
    """Return what is in a run's folder, but for what SQLite has there while the shipper looks into the journal."""
    return sorted(path for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm")))


def train(runs: Path, *overrides: str) -> Trained:
    return Trained(weft.run(f"runs={runs}", *overrides), f"sqlite:///{runs}/mlflow.db")


@pytest.fixture(scope="module")
def iris(runs: Path) -> Trained:
    return train(runs, "dataset=iris", "model=mlp", "optimizer=sgd", "optimizer.lr=1.5", "epochs=12", "seed=3")


@pytest.mark.parametrize(
    "options",
    [
        ["model=mlp", "epochs=2"],
        ["model=cnn", "epochs=1", "regularizer=[dropout,max_norm,label_smoothing]", "metric=[accuracy,f1,auroc]"],
        ["model=cnn", "epochs=1", "precision=bf16", "class_weights=balanced", "split_seed=4"],
        ["model=mlp", "dataset=diabetes", "epochs=3"],
        ["model=mlp", "dataset=friedman", "dataset.samples=200", "loss=huber", "metric=[r2]", "precision=fp64", "epochs=2"],
    ],
    ids=["mlp", "cnn", "weighted", "regression", "huber"],
)
def test_with_nothing_overridden_the_scores_are_the_run_s_own(runs: Path, options: list[str]) -> None:
    trained = train(runs, *options)
    before = torch.get_rng_state()
    kept = files(trained.result.folder)
    assert len(trained.own()) > 1
    assert weft.evaluate(trained.result.folder) == trained.own()
    assert weft.evaluate(trained.result.run_id, uri=trained.uri) == trained.own()
    assert torch.equal(before, torch.get_rng_state())
    assert files(trained.result.folder) == kept


def test_the_last_weights_and_other_metrics(iris: Trained) -> None:
    assert weft.evaluate(iris.result.folder, "weights=best") == iris.own()
    assert Folder(iris.result.folder).record()["best_epoch"] < 12, "or the next line says nothing"
    last = weft.evaluate(iris.result.folder, "weights=last")
    assert last["test/loss"] != iris.own()["test/loss"]
    found = weft.evaluate(iris.result.folder, "metric=[accuracy,f1]")
    assert found["test/f1"] == pytest.approx(_f1(iris), abs=1e-6)
    assert {name: found[name] for name in iris.own()} == iris.own()
    hinge = weft.evaluate(iris.result.folder, "loss=hinge")
    assert (hinge["test/accuracy"], hinge["test/loss"]) != (iris.own()["test/accuracy"], iris.own()["test/loss"])


def _f1(trained: Trained) -> float:
    from sklearn.metrics import f1_score

    from weft.compose import checked
    from weft.experiment import prepare

    inputs, targets = prepare(checked(Folder(trained.result.folder).read_config()), catalog()).data.splits["test"]
    return float(f1_score(targets, weft.load(trained.result.folder)(inputs).argmax(1), average="macro"))


def test_other_data_is_what_the_model_is_given(runs: Path, tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    tables = []
    for number, rows in enumerate((120, 400)):
        table = tmp_path / f"{number}.csv"
        points = torch.randn(rows, 2, generator=draw)
        words = ["yes" if row.sum() > 0 else "no" for row in points]
        lines = [f"{float(a)},{float(b)},{word}" for (a, b), word in zip(points, words, strict=True)]
        table.write_text("\n".join(["a,b,word", *lines]))
        tables.append(table)
    chosen = [f"dataset.path={tables[0]}", "dataset.target=word", "dataset.standardize=false"]
    trained = train(runs, "dataset=csv", *chosen, "model=linear", "epochs=20", "optimizer.lr=0.1")
    found = evaluation.evaluate(trained.result.folder, [f"dataset.path={tables[1]}", "dataset.test=0.5"], trained.uri)
    assert found.samples == 200
    assert found.scores["test/accuracy"] > 0.95
    assert found.scores != trained.own()
    tables[1].write_text(tables[1].read_text().replace("yes", "ja"))
    with pytest.raises(weft.ConfigError, match=r"dataset=csv: classes\[0\]: 'ja' here, 'no' where the model was"):
        weft.evaluate(trained.result.folder, f"dataset.path={tables[1]}")
    with pytest.raises(weft.ConfigError, match=r"dataset\.path: .* needs it"):
        weft.evaluate(trained.result.folder, "dataset=csv")


def test_tokens_of_another_meaning_are_refused(runs: Path, tmp_path: Path) -> None:
    """As many characters, but others: the model would take one for another, and say nothing."""
    for name, letters in (("first", "abc "), ("second", "abd ")):
        for kind, order in (("up", letters), ("down", letters[::-1])):
            (tmp_path / name / kind).mkdir(parents=True)
            for number in range(12):
                (tmp_path / name / kind / f"{number}.txt").write_text(order * (5 + number))
    path = f"dataset.path={tmp_path}"
    trained = train(
        runs, "dataset=text_folder", f"{path}/first", "dataset.unit=character", "dataset.length=16", "model=rnn", "epochs=1"
    )
    assert weft.evaluate(trained.result.folder, f"{path}/first") == trained.own()
    with pytest.raises(weft.ConfigError, match=r"dataset=text_folder: tokens\[5\]: 'd' here, 'c' where the model was trained"):
        weft.evaluate(trained.result.folder, f"{path}/second")


REFUSED = [
    ("optimizer.lr=3", "optimizer.lr=3: is nothing that an evaluation can change; dataset, split_seed, loss, metric"),
    ("model=cnn", "model=cnn: is nothing that an evaluation can change"),
    ("hydra.run.dir=x", "hydra.run.dir=x: is nothing that"),
    ("+dataset.x=1", "is nothing that an evaluation can change"),
    ("~metric", "is nothing that an evaluation can change"),
    ("dataset", "dataset: is nothing that an evaluation can change"),
    ("datset=wine", r"did you mean 'dataset'"),
    ("weights=first", "weights: 'first' is none of best, last"),
    ("dataset=irs", "no dataset named 'irs' .did you mean 'iris'"),
    ("dataset.tst=0.2", "dataset.tst: no such key .did you mean 'test'"),
    ("dataset.test=2", "dataset.test: 2 is out of range"),
    ("dataset=wine,digits", "is several values"),
    ("dataset=diabetes", "dataset=diabetes: task: regression here, classification where the model was trained"),
    ("dataset=digits", "dataset=digits: outputs: 10 here, 3 where the model was trained"),
    ("dataset=wine", r"dataset=wine: classes\[0\]: 'class_0' here, 'setosa' where the model was"),
    ("loss=mse", "loss=mse: serves regression, and dataset iris is classification"),
    ("metric=[r2]", "metric=r2: serves regression"),
    ("metric.f1.x=1", r"metric.f1.x: metric 'f1' is not chosen; choose it with metric=\[f1\]"),
    ("device=cuda:9", "device: 'cuda:9' isn't there"),
    ("device=gpu", "device: 'gpu' is none of auto"),
    ("class_weights=[1,2]", "class_weights: 2 weights for 3 classes"),
]


@pytest.mark.parametrize(("override", "message"), REFUSED)
def test_what_can_t_be_is_one_message(iris: Trained, override: str, message: str) -> None:
    with pytest.raises(weft.UserError, match=message):
        weft.evaluate(iris.result.folder, override)


def test_samples_of_another_shape_are_refused_by_the_model(iris: Trained) -> None:
    class Wide:
        """Irises with a fifth length."""

        task, inputs, outputs = "classification", (5,), 3

        def __init__(self, split_seed: int):
            self.train = self.valid = self.test = torch.zeros(6, 5), torch.arange(6) % 3

    weft.register("dataset", Wide)
    try:
        with pytest.raises(weft.ConfigError, match=r"model=mlp: doesn't fit dataset wide, whose samples have shape \[5\]"):
            weft.evaluate(iris.result.folder, "dataset=wide")
    finally:
        catalog_module._local.clear()
        catalog.cache_clear()


def test_a_run_without_a_model_is_named(iris: Trained, tmp_path: Path) -> None:
    with pytest.raises(weft.ConfigError, match="holds no model; give the folder of a finished run, or its MLflow run id"):
        weft.evaluate(tmp_path)
    with pytest.raises(weft.ConfigError, match="'nobody' is no run's folder; as the id of a run: .* has no run 'nobody'"):
        weft.evaluate("nobody", uri=iris.uri)
    lone = tmp_path / "model"
    shutil.copytree(iris.result.folder / "model", lone)
    with pytest.raises(weft.ConfigError, match=r"not the folder of a run: it holds no config\.yaml"):
        weft.evaluate(lone)


def test_what_was_for_training_alone_need_not_be_there(runs: Path) -> None:
    class Late(torch.optim.SGD):
        """A plugin that is gone later."""

        def __init__(self, params: Any, lr: float = 0.1):
            super().__init__(params, lr)

    weft.register("optimizer", Late)
    try:
        trained = train(runs, "dataset=iris", "model=linear", "optimizer=late", "epochs=1")
    finally:
        catalog_module._local.clear()
        catalog.cache_clear()
    assert weft.evaluate(trained.result.run_id, uri=trained.uri) == trained.own()


def test_data_that_has_changed_is_said(iris: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "weft")
    weft.evaluate(iris.result.folder)
    assert caplog.messages == []
    weft.evaluate(iris.result.folder, "split_seed=7")
    assert caplog.messages == ["dataset iris is split otherwise than in training: the model may know some of these samples"]
    caplog.clear()
    copy = tmp_path / "run"
    shutil.copytree(iris.result.folder, copy)
    Folder(copy).write_config({**Folder(copy).read_config(), "split_seed": 7})
    weft.evaluate(copy)
    assert caplog.messages == ["dataset iris is not what it was when the model was trained"]


def test_a_secret_that_was_not_recorded_is_asked_for(runs: Path, tmp_path: Path) -> None:
    class Guarded:
        """Opens with a token."""

        task, inputs, outputs = "classification", (2,), 2

        def __init__(self, split_seed: int, token: str = "none"):
            if token != "sesame":
                raise ValueError("closed")
            self.train = self.valid = self.test = torch.eye(2).repeat(4, 1), torch.arange(8) % 2

    weft.register("dataset", Guarded)
    try:
        trained = train(runs, "dataset=guarded", "dataset.token=sesame", "model=linear", "epochs=1")
        assert weft.evaluate(trained.result.folder) == trained.own()
        with pytest.raises(weft.ConfigError, match=r"dataset\.token: is a secret that was not recorded .* dataset\.token=…"):
            weft.evaluate(trained.result.run_id, uri=trained.uri)
        assert weft.evaluate(trained.result.run_id, "dataset.token=sesame", uri=trained.uri) == trained.own()
    finally:
        catalog_module._local.clear()
        catalog.cache_clear()


def test_the_command_prints_the_scores(iris: Trained, tmp_path: Path) -> None:
    done = call("evaluate", iris.result.run_id, "device=cpu", folder=tmp_path, MLFLOW_TRACKING_URI=iris.uri)
    assert done.stderr == ""
    scores = "".join(f"  {name:<20} {score:.4f}\n" for name, score in iris.own().items())
    assert done.stdout == f"{scores}the best weights of {iris.result.run_id}, on 24 test samples of iris\n"
    wrong = call("evaluate", str(iris.result.folder), "--uri", iris.uri, "epochs=3", folder=tmp_path, check=2)
    assert wrong.stdout == ""
    assert wrong.stderr.startswith("error: epochs=3: is nothing that an evaluation can change")
    assert list(tmp_path.iterdir()) == []
