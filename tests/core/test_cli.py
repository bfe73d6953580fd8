"""The commands, typed as a user would: what works, what is refused and with which words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import WEFT, own_process
from tests.command import call as weft
from weft import UserError, cli
from weft.catalog import catalog
from weft.folder import SUMMARY, Folder
from weft.telemetry import syncing, verification


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, and a warm catalog."""
    monkeypatch.chdir(tmp_path)
    catalog.cache_clear()
    catalog()
    yield tmp_path
    catalog.cache_clear()


LONG = ["model=mlp", "epochs=400", "regularizer=[dropout]", "scheduler=cosine"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a long run that nothing has happened to."""
    folder = tmp_path_factory.mktemp("whole")
    weft("run", *LONG, folder=folder)
    return folder


def runs(folder: Path) -> list[Folder]:
    records = [record for record in sorted(folder.glob("runs/**/run.json")) if record.parent.name != SUMMARY]
    return [Folder(record.parent) for record in records]


def mlflow_runs(folder: Path) -> list[Any]:
    from mlflow import MlflowClient

    syncing.sync(verification.folders(folder), None)
    client = MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return [run for run in client.search_runs(experiments) if "weft.summary" not in run.data.tags]


MISTAKES = [
    ("model=mpl", "model=mpl: no model named 'mpl' (did you mean 'mlp'?); there are "),
    ("modle=mlp", "modle: no such key (did you mean 'model'?); there are "),
    ("model.widht=3", "model.widht: no such key (did you mean 'width'?); model mlp has activation, depth, "),
    ("model.width=wide", "model.width: 'wide' is not a whole number (model mlp of weft "),
    ("model.width=0", "model.width: 0 is out of range: "),
    ("model.activation=rely", "model.activation: no activation named 'rely' (did you mean 'relu'?)"),
    ("optimizer.betas=[0.9]", "optimizer.betas: [0.9] is not a list of 2 values"),
    ("optimizer.lr=null", "optimizer.lr: null is not a number"),
    ("regularizer.l2.weight=3", "regularizer.l2.weight: regularizer 'l2' is not chosen; choose it with regularizer=[l2]"),
    ("regularizer=[dropout,l3]", "regularizer=l3: no regularizer named 'l3'"),
    ("loss=mse", "loss=mse: serves regression, and dataset digits is classification; there are "),
    ("loss.delta=1", "loss.delta: no loss is chosen; choose it with loss=NAME: there are "),
    ("metric=[r2]", "metric=r2: serves regression"),
    ("model=cnn dataset=iris", "model=cnn: "),
    ("device=cuda:7", "device: 'cuda:7' isn't there; there are cpu"),
    ("device=gpu", "device: 'gpu' is none of auto, cpu, cuda, cuda:N, mps"),
    ("precision=fp8", "precision: 'fp8' is not one of fp64, fp32, bf16, fp16 (weft: "),
    ("+model._target_=os.system", "model._target_: _target_ is not allowed"),
    ("+hydra.callbacks.x._target_=os.system", "hydra.callbacks: "),
    ("hydra.launcher._target_=os.system", "hydra.launcher._target_: 'os.system' is not allowed"),
    ("+hydra.job_logging.handlers.x=${tags}", "hydra.job_logging.handlers.x: '${tags}' is not allowed"),
    (
        "hydra.job_logging.handlers.console.stream=${name}",
        "hydra.job_logging.handlers.console.stream: '${name}' is",
    ),
    ("hydra.launcher=foo", "hydra.launcher"),
    ("hydra.job.chdir=true", "hydra.job.chdir: "),
    ("hydra.run.dir=${nope}", ""),
    ("=3", ""),
    ("-m seed=range(0,3,0)", ""),
    ("-m seed=0,1 tracking.run_id=abc", "tracking.run_id: abc is one run, and a sweep makes many"),
    ("hydra.sweeper._target_=os.system", "hydra.sweeper._target_: 'os.system' is not allowed"),
    ("+hydra.job_logging.handlers.x.class=os.system", "hydra.job_logging.handlers.x.class: 'os.system' is not allowed"),
    ("+hydra.job_logging.filters.x={'()':os.system}", ""),
    ("+hydra.job.env_set.PYTHONPATH=/evil", "hydra.job.env_set.PYTHONPATH: changes what a process loads"),
    ("hydra.searchpath=[pkg://os]", "hydra.searchpath=[pkg://os]: a search path is made of folders"),
    ("hydra/launcher=nope", "hydra/launcher=nope: no hydra/launcher named 'nope'; there are basic, joblib"),
    ("hydra/sweeper=nope", "hydra/sweeper=nope: no hydra/sweeper named 'nope'"),
    ("model=mlp,cnn", "model: 'mlp,cnn' is several values: -m sweeps over them"),
    ("epochs=[1", "epochs=[1: "),
    ("epochs=-1", "epochs: -1 is out of range: at least 1"),
    ("epochs=2.5", "epochs: 2.5 is not a whole number"),
    ("seed=true", "seed: True is not a whole number"),
    ("dataset=csv dataset.path=nope.csv dataset.target=y", "dataset=csv: "),
    ("dataset=csv", "dataset."),
    ("dataset.valid=0.6 dataset.test=0.6", "dataset"),
    ("objective=valid/acuracy", "objective: 'valid/acuracy' is no score (did you mean 'valid/accuracy'?)"),
    ("objective=test/loss", "objective: 'test/loss' is no score"),
    ("tracking.uri=./mlruns", "tracking.uri: './mlruns' is a folder"),
    ("tracking.uri=foo://x", "tracking.uri: 'foo://x' is no store that MLflow has"),
    ("init_from=nope", "init_from: 'nope' is no run's folder; as the id of a run: sqlite:///"),
    ("init_from=no/such/folder", "init_from: no/such/folder: holds no model"),
    ("class_weights=[1,2]", "class_weights: 2 weights for 10 classes of dataset digits"),
    ("dataset=diabetes class_weights=balanced", "class_weights: dataset diabetes is regression"),
    ("parameter_groups=[{pattern:nope,lr:1}]", "parameter_groups[0]: no parameter left for 'nope'"),
    ("parameter_groups=[{pattern:'*',lrr:1}]", "parameter_groups[0].lrr: "),
    ("parameter_groups=[{lr:1}]", "parameter_groups[0]: "),
    ("precision=fp16 optimizer=lbfgs", "precision: fp16 scales the loss once a step, and optimizer lbfgs"),
    ("regularizer=label_smoothing loss=hinge", "regularizer=label_smoothing: "),
    ("regularizer=label_smoothing loss=cross_entropy loss.label_smoothing=0.1", "regularizer=label_smoothing: "),
    ("model=linear regularizer=dropout", "regularizer=dropout: "),
    ("optimizer=sgd optimizer.nesterov=true", "optimizer=sgd: Nesterov momentum requires a momentum"),
    ("callback=early_stopping callback.early_stopping.patience=0", "callback.early_stopping.patience: 0 is out of range"),
    ("callback=early_stopping callback.early_stopping.monitor=valid/los", "callback.early_stopping.monitor: "),
    ("callback=reduce_on_plateau scheduler=one_cycle", ""),
    ("dataset=friedman loss=poisson_nll", "loss=poisson_nll: doesn't fit dataset friedman: train: poisson_nll takes counts"),
    ("accumulate=100", "accumulate: 100 pieces of a batch of 64"),
    ("sweep.name=x", "sweep.name: belongs to a sweep"),
    ("seed=${oc.env:NOT_SET_ANYWHERE}", "seed: "),
    ("hydra.run.dir=/proc/nope", "hydra.run.dir: /proc/nope: nothing can be written in /proc"),
    ("runs=/proc/nope", "runs: /proc/nope: nothing can be written in /proc"),
    ("-m runs=/proc/nope", "runs: /proc/nope: nothing can be written in /proc"),
    ("tracking.uri=sqlite:////proc/x/y.db", "tracking.uri: /proc/x: nothing can be written in /proc"),
    ("tracking.run_id=123e4567", "tracking.run_id: sqlite:///runs/mlflow.db: there is no such file, and so no run '123e4567'"),
    ("tracking.register=a/b", "tracking.register: 'a/b' is no name of a registered model; it could be up to 250 characters"),
    ("tracking.experiment=", "tracking.experiment: '' is no name"),
    ("runs=/dev/null", "runs: /dev/null: /dev/null is no folder"),
    ("hydra.run.dir=/dev/null", "hydra.run.dir: /dev/null: /dev/null is no folder"),
    ("-m hydra.sweep.dir=/dev/null seed=0,1", "hydra.sweep.dir: /dev/null: /dev/null is no folder"),
    ("hydra.verbose=[1]", "hydra.verbose: [1] is none of true, false, a logger's name, a list of names"),
    ("hydra.job_logging.version=7", "hydra.job_logging: Unsupported version: 7"),
    ("hydra.job_logging.root.level=LOUD", "hydra.job_logging: "),
    ("-m hydra.job_logging.version=7 seed=0,1", "hydra.job_logging: Unsupported version: 7"),
    ("hydra.searchpath=[nope]", "hydra.searchpath: 'nope' is no folder that can be read"),
    ("threads=0", "threads: 0 is out of range"),
    ("--config-dir nope", "--config-dir: 'nope' is not a folder"),
    ("--config-name other", "--config-name: not here"),
    ("--config-path other", "--config-path: not here"),
    ("--multirum", "--multirum: no such option (did you mean '--multirun'?)"),
    ("model=mpl --cfg job", "model=mpl: no model named 'mpl' (did you mean 'mlp'?)"),
    ("--info config model=mpl", "model=mpl: no model named 'mpl' (did you mean 'mlp'?)"),
    ("-m +experiment=glob(nope*)", "+experiment=glob(nope*): is no value at all; there are backpropagation, "),
    ("-m optimizer.lr=range(0,0)", "optimizer.lr=range(0,0): is no value at all"),
    ("-m model=mlp,cnnn", "model=cnnn: no model named 'cnnn' (did you mean 'cnn'?)"),
    ("-m seed=0,x", "seed: 'x' is not a whole number"),
    (
        "-m model=mlp,linear model.width=3",
        "model.width: no such key; model linear has begin\nin the job model=linear model.width=3",
    ),
    ("-m +experiment=mlp,q_learning dataset.stesp=3", "dataset.stesp: no such key (did you mean 'test'?); dataset digits has "),
    ("regularizer=l2 regularizer.weight=3", "regularizer.weight: is an option of one regularizer: regularizer.l2.weight"),
    ("-m hydra/sweeper=optuna n_trials=3", "n_trials: no such key; it is hydra.sweeper.n_trials"),
    ("-m seed=0,1 slots=3", "slots: no such key; it is hydra.launcher.slots"),
    ("experiment=kmeans", "experiment: is added to what there is: +experiment=NAME"),
]


@pytest.mark.parametrize(("line", "message"), MISTAKES)
def test_a_mistake_is_one_message_and_writes_nothing(here: Path, line: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        cli.commands.main(["run", *line.split()], standalone_mode=False)
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 1500
    assert list(here.iterdir()) == []


def test_labels_out_of_range_are_refused(here: Path, request: pytest.FixtureRequest) -> None:
    import torch

    import weft as library
    from weft import catalog as catalog_module

    request.addfinalizer(lambda: (catalog_module._local.clear(), catalog.cache_clear()))

    @library.register("dataset", name="odd")
    def odd(split_seed: int) -> Any:
        class Odd:
            task, inputs, outputs = "classification", (4,), 3
            train = valid = test = (torch.zeros(4, 4), torch.tensor([0, 1, 2, 3]))

        return Odd()

    with pytest.raises(UserError, match=r"dataset=odd: train: .*3"):
        cli.commands.main(["run", "dataset=odd"], standalone_mode=False)
    assert list(here.iterdir()) == []


def test_yaml_of_the_user_is_checked_as_well(here: Path) -> None:
    (here / "conf" / "experiment").mkdir(parents=True)
    (here / "conf" / "model").mkdir()
    (here / "conf" / "experiment" / "bad.yaml").write_text("# @package _global_\nmodel: {widht: 3}\n")
    (here / "conf" / "experiment" / "code.yaml").write_text("# @package _global_\nmodel: {x: {_target_: os.system}}\n")
    (here / "conf" / "model" / "wide.yaml").write_text("defaults: [mlp]\nwidth: 512\n")
    (here / "conf" / "experiment" / "torn.yaml").write_text("a: [1\n")
    for name, message in (
        ("bad", "model.widht: model mlp of weft .* has no option 'widht' .did you mean 'width'"),
        ("code", "model.x._target_: _target_ is not allowed"),
        ("torn", "a YAML file can't be read"),
        ("badd", "experiment=badd: no experiment named 'badd' .did you mean 'bad'"),
    ):
        with pytest.raises(UserError, match=message):
            cli.commands.main(["run", f"+experiment={name}"], standalone_mode=False)
    from weft.compose import configured

    assert configured(["model=wide"])[0].one("model").options["width"] == 512
    assert configured(["model=wide", "model.width=7"])[0].one("model").options["width"] == 7


def test_a_config_of_the_user_takes_the_place_of_weft_s(here: Path) -> None:
    (here / "conf").mkdir()
    (here / "conf" / "config.yaml").write_text("defaults: [weft, {override model: linear}, _self_]\nepochs: 3\n")
    from weft.compose import configured

    found, _ = configured([])
    assert (found.one("model").component.name, found.settings.epochs) == ("linear", 3)
    (here / "conf" / "config.yaml").write_text("defaults: [weft, _self_]\nhydra: {searchpath: ['pkg://os']}\n")
    with pytest.raises(UserError, match="'pkg://os' would be imported"):
        configured([])


def test_configs_cannot_run_code_while_they_are_composed(here: Path) -> None:
    """Nothing is imported that a config names: an audit hook would have seen it."""
    (here / "evil.py").write_text("raise SystemExit('imported')")
    lines = [
        "+model._target_=evil.run",
        "+hydra.callbacks.x._target_=evil.Callback",
        "hydra.launcher._target_=evil.Launcher",
        "hydra.searchpath=[pkg://evil]",
        "+hydra.job_logging.formatters.x.class=evil.Formatter",
        "hydra.hydra_logging.handlers.console.stream=ext://evil.stream",
    ]
    sys.path.insert(0, str(here))
    try:
        for line in lines:
            with pytest.raises(UserError):
                cli.commands.main(["run", line], standalone_mode=False)
    finally:
        sys.path.remove(str(here))
    assert "evil" not in sys.modules


@pytest.mark.integration
class TestCommands:
    """Commands from beginning to end, on a store of their own."""

    def test_a_run_and_what_it_leaves(self, here: Path) -> None:
        done = weft("run", "model=cnn", "epochs=2", "tags={team: blue}", "name=first", "telemetry.wait=60", folder=here)
        assert "test/accuracy" in done.stdout
        (folder,) = runs(here)
        record = folder.record()
        assert record["status"] == "FINISHED"
        assert record["run_id"] in done.stdout
        (run,) = mlflow_runs(here)
        assert run.info.status == "FINISHED"
        assert run.info.run_name == "first"
        assert run.data.params["model"] == "cnn"
        assert run.data.params["optimizer.fused"] == "true"
        assert run.data.tags["team"] == "blue"
        assert run.data.tags["weft.dataset_digest"]
        assert run.data.tags["mlflow.source.name"]
        assert {"train/loss", "valid/loss", "valid/accuracy", "test/accuracy", "train/accuracy"} <= set(run.data.metrics)
        assert [key for key in run.data.metrics if key.startswith("grad_norm/")]
        assert run.inputs.dataset_inputs[0].dataset.name == "digits"
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{here}/runs/mlflow.db")
        assert {artifact.path for artifact in client.list_artifacts(run.info.run_id)} >= {"config.yaml", "environment.json"}
        (output,) = run.outputs.model_outputs
        entry = client.get_logged_model(output.model_id)
        assert (entry.name, entry.source_run_id, str(entry.status)) == ("model", run.info.run_id, "READY")

    def test_help_lists_groups_options_types_and_examples(self, here: Path) -> None:
        text = weft("run", "--help", "model=cnn", folder=here).stdout
        for expected in (
            "model=NAME",
            "regularizer=[NAME,…]",
            "model.channels",
            "optimizer.lr",
            "0.001",
            "batch_size",
            "weft run -m",
        ):
            assert expected in text
        text = weft("plugins", "loss", folder=here).stdout
        assert "loss=cross_entropy" in text
        assert "label_smoothing" in text
        assert list(here.iterdir()) == []

    def test_hydra_s_own_options_work(self, here: Path) -> None:
        assert "name: cnn" in weft("run", "model=cnn", "--cfg", "job", folder=here).stdout
        assert "lr: 0.5" in weft("run", "optimizer.lr=0.5", "--cfg", "job", "-p", "optimizer", folder=here).stdout
        assert "plugins://" in own_process("run", "--info", "searchpath", folder=here).stdout  # which is logged

    def test_a_sweep_with_a_failing_job(self, here: Path) -> None:
        done = weft(
            "run",
            "-m",
            "model=mlp,linear",
            "optimizer=sgd",
            "optimizer.lr=0.1,10",
            "epochs=2",
            "loss=cross_entropy",
            "sweep.name=pair",
            folder=here,
            check=None,
        )
        statuses = {json.dumps(folder.record()["overrides"][:3]): folder.record()["status"] for folder in runs(here)}
        assert len(statuses) == 4
        found = mlflow_runs(here)
        assert {run.data.tags["weft.sweep"] for run in found} == {"pair"}
        assert not [run for run in found if "mlflow.parentRunId" in run.data.tags]
        assert sorted(run.info.status for run in found) == sorted(statuses.values())
        assert done.returncode == (1 if "FAILED" in statuses.values() else 0)
        assert "valid/loss" in done.stdout
        (here / "runs" / "sweeps" / "other").mkdir()
        (here / "runs" / "sweeps" / "other" / "file").touch()
        again = weft("run", "-m", "model=mlp,linear", "sweep.name=other", folder=here, check=2)
        assert "sweep.name: runs/sweeps/other is there already, and holds no sweep; choose another name" in again.stderr

    def test_a_job_that_cannot_be_is_left_out_and_the_others_are_held_against_their_reference(self, here: Path) -> None:
        done = weft(
            "run",
            "-m",
            "dataset=digits,iris",
            "model=cnn,linear",
            "epochs=1",
            "reference.score=test/accuracy",
            "reference.at_least=0",
            folder=here,
        )
        assert "3 of 3 met their reference" in done.stdout
        assert [folder.record()["status"] for folder in runs(here)] == ["FINISHED"] * 3
        assert "skip dataset=iris model=cnn: model=cnn: cnn takes images of shape" in done.stdout

    def test_a_job_that_fails_keeps_its_traceback(self, here: Path) -> None:
        done = weft(
            *("run", "-m", "dataset=diabetes", "model=linear", "optimizer=sgd", "optimizer.lr=10,1e-3", "epochs=50"),
            folder=here,
            check=1,
        )
        (failed,) = [run for run in mlflow_runs(here) if run.info.status == "FAILED"]
        assert "NonFiniteError" in failed.data.tags["weft.error"]
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{here}/runs/mlflow.db")
        assert "traceback.txt" in {artifact.path for artifact in client.list_artifacts(failed.info.run_id)}
        assert "FAILED" in done.stdout
        assert "repeat it: weft run dataset=diabetes model=linear optimizer=sgd optimizer.lr=10 epochs=50" in done.stdout

    def test_a_loss_that_explodes_is_failed_and_named(self, here: Path) -> None:
        done = weft(
            "run", "dataset=diabetes", "model=linear", "optimizer=sgd", "optimizer.lr=10", "epochs=50", folder=here, check=1
        )
        assert "became" in done.stderr
        assert "at step" in done.stderr
        assert "first affected: " in done.stderr
        assert "Traceback" not in done.stderr
        (run,) = mlflow_runs(here)
        assert run.info.status == "FAILED"

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.accept)])
    def test_a_run_that_is_stopped_goes_on_to_the_same_end(self, here: Path, whole: Path, number: signal.Signals) -> None:
        child = subprocess.Popen([*WEFT, "run", *LONG], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while not [*here.glob("runs/*/*/checkpoint.safetensors")]:
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
        (folder,) = runs(here)
        if number is not signal.SIGKILL:
            assert child.returncode == 128 + number, out + err
            assert folder.record()["status"] == "KILLED"
            assert f"weft resume {folder.path.relative_to(here)}" in out
            assert [run.info.status for run in mlflow_runs(here)] == ["KILLED"]
        stopped_at = len(folder.checkpoint.read_bytes())
        assert stopped_at
        weft("resume", str(folder.path), folder=here)
        record = folder.record()
        assert record["status"] == "FINISHED"
        (run,) = mlflow_runs(here)
        assert run.info.status == "FINISHED"
        (other,) = runs(whole)
        assert (folder.model / "last.safetensors").read_bytes() == (other.model / "last.safetensors").read_bytes()
        assert record["scores"] == other.record()["scores"]
        with pytest.raises(UserError, match="is finished"):
            cli.commands.main(["resume", str(folder.path)], standalone_mode=False)

    def test_four_epochs_are_two_and_two(self, here: Path) -> None:
        for name, epochs in (("half", 2), ("whole", 4)):
            weft("run", f"epochs={epochs}", "model=linear", f"runs={name}", folder=here)
        (half,) = here.glob("half/*/*/run.json")
        (whole,) = here.glob("whole/*/*/run.json")
        weft("resume", str(half.parent), "epochs=4", folder=here)
        assert (half.parent / "model/last.safetensors").read_bytes() == (whole.parent / "model/last.safetensors").read_bytes()
        for arguments, message in (([str(half.parent), "seed=3"], "only epochs=N"), (["nowhere"], "there is no such folder")):
            with pytest.raises(UserError, match=message):
                cli.commands.main(["resume", *arguments], standalone_mode=False)

    def test_environment_and_command_line(self, here: Path) -> None:
        store = f"sqlite:///{here}/other.db"
        outside = {"MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "from-outside"}
        weft("run", "epochs=1", "model=linear", "telemetry.wait=60", folder=here, **outside)
        assert (here / "other.db").exists()
        assert not (here / "runs" / "mlflow.db").exists()
        (folder,) = runs(here)
        assert folder.record()["experiment"] == "from-outside"

    def test_listing_and_help_are_quick_and_without_torch(self, here: Path) -> None:
        for arguments in (["plugins"], ["run", "--help"], ["--help"]):
            code = (
                "import sys; from weft.cli import commands\n"
                f"try: commands.main({arguments!r}, standalone_mode=False)\nexcept SystemExit: pass\n"
                "print([m for m in ('torch', 'mlflow', 'sklearn', 'weft_basics') if m in sys.modules], file=sys.stderr)"
            )
            done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True)
            assert done.stderr.strip().splitlines()[-1] == "[]", arguments

    @pytest.mark.parametrize(
        ("words", "cword", "expected"),
        [
            ("weft run model=", 2, {"model=cnn", "model=linear", "model=mlp", "model=rnn"}),
            ("weft run model=mlp model.", 3, {"model.width=", "model.depth=", "model.activation="}),
            ("weft run model.activation=re", 2, {"model.activation=relu"}),
            ("weft run precision=", 2, {"precision=fp64", "precision=fp32", "precision=bf16", "precision=fp16"}),
            ("weft run optim", 2, {"optimizer="}),
            ("weft re", 1, {"resume"}),
        ],
    )
    def test_completion(self, here: Path, words: str, cword: int, expected: set[str]) -> None:
        done = subprocess.run(
            WEFT,
            cwd=here,
            capture_output=True,
            text=True,
            env={**os.environ, "_WEFT_COMPLETE": "zsh_complete", "COMP_WORDS": words, "COMP_CWORD": str(cword)},
        )
        found = set(done.stdout.split("\n")[1::3])
        assert expected <= found, done.stdout + done.stderr
