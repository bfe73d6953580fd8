"""weft.track: somebody's own loop, recorded as weft's runs are."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import optimizer as optimizers

import weft
from tests.core.telemetry.conftest import ship, stop_shipper
from weft.errors import ConfigError, UserError, WeftError
from weft.folder import Folder
from weft.telemetry import journal, shipping, verification
from weft.telemetry.store import absolute_uri
from weft.telemetry.tracker import Status

pytestmark = pytest.mark.integration

_STORE = "sqlite:///runs/mlflow.db"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Path) -> Iterator[Path]:
    """A current folder with a migrated store. Nobody ships but `ship`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipping, "ensure", lambda spool: None)
    (tmp_path / "runs").mkdir()
    shutil.copy(template, tmp_path / "runs" / "mlflow.db")
    yield tmp_path
    stop_shipper(_STORE)


def begun(**options: Any) -> weft.tracking.TrackedRun:  # type: ignore[name-defined]
    return weft.track("own", **{"wait": 0.0, "every": None, **options})


def series(folder: Path, key: str) -> list[tuple[int, float]]:
    rows = journal.rows(folder / "1.journal", -(2**63))
    return [(row.step, value) for row in rows for name, value in zip(row.keys, row.values, strict=True) if name == key]


def stored(folder: Path) -> Any:
    from mlflow import MlflowClient

    ship(_STORE)
    finding = verification.verify(folder, _STORE)
    assert finding.is_right, finding
    assert finding.run_id is not None
    return MlflowClient(absolute_uri(_STORE)).get_run(finding.run_id)


def test_a_loop_of_one_s_own_is_in_mlflow(here: Path) -> None:
    (here / "notes.txt").write_text("as it was")
    (here / "plots" / "deep").mkdir(parents=True)
    (here / "plots" / "deep" / "a.txt").write_text("a")
    with begun(lr=0.1, params={"optimizer": {"name": "sgd", "nesterov": True}}, tags={"team": "blue"}) as run:
        for step in range(10):
            run.log({"loss": 1 / (step + 1), "accuracy": torch.tensor(step / 10)})
        run.log({"late": np.float32(0.5), "whole": 3, "zero": np.array(2.0)}, step=100)
        run.log({"after": 1.0})
        run.tag(note="done", number=3)
        run.artifact("notes.txt")
        (here / "notes.txt").write_text("changed since")
        run.artifact(here / "plots", "pictures")
        run.image("valid/faces", np.zeros((4, 4, 3)))
        run.image("valid/faces", [[0.0, 1.0]], step=7)
    found = stored(run.folder)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "own")
    assert found.data.params == {"lr": "0.1", "optimizer.name": "sgd", "optimizer.nesterov": "True"}
    assert {"team": "blue", "note": "done", "number": "3", "weft.version": weft.__version__}.items() <= found.data.tags.items()
    assert series(run.folder, "loss") == [(step, 1 / (step + 1)) for step in range(10)]
    assert series(run.folder, "accuracy") == [(step, float(torch.tensor(step / 10))) for step in range(10)]
    assert [series(run.folder, key) for key in ("late", "whole", "zero", "after")] == [
        [(100, 0.5)],
        [(100, 3.0)],
        [(100, 2.0)],
        [(101, 1.0)],
    ]
    artifacts = Path(found.info.artifact_uri.removeprefix("file://"))
    assert (artifacts / "notes.txt").read_text() == "as it was"
    assert (artifacts / "pictures" / "plots" / "deep" / "a.txt").read_text() == "a"
    assert (artifacts / "environment.json").is_file()
    names = sorted(path.name.partition("+timestamp+")[0] for path in (artifacts / "images").glob("*.png"))
    assert names == ["valid~faces+step+101", "valid~faces+step+7"]
    assert Folder(run.folder).record()["status"] == "FINISHED"


def test_values_that_are_not_finite_are_kept(here: Path) -> None:
    with begun() as run:
        run.log({"x": math.nan})
        run.log({"x": -math.inf})
    values = [value for _, value in series(run.folder, "x")]
    assert math.isnan(values[0])
    assert values[1] == -math.inf


def test_a_tensor_is_what_it_was_when_it_was_logged(here: Path) -> None:
    value = torch.ones(1)
    with begun() as run:
        run.log({"x": value})
        value.add_(1)
        run.log({"x": value[0]})
    assert series(run.folder, "x") == [(0, 1.0), (1, 2.0)]


@pytest.mark.parametrize(
    ("values", "step", "why"),
    [
        ({"x": "much"}, None, "x: 'much' is no number"),
        ({"x": None}, None, "x: 'None' is no number"),
        ({"x": [1.0]}, None, r"x: '\[1.0\]' is no number"),
        ({"x": np.ones(2)}, None, "x: .* is no number"),
        ({"x": torch.ones(2)}, None, "x: a tensor of 2 elements"),
        ({"x": 10**400}, None, "x: '1000"),
        ({"x": 1.0}, 1.5, "step: 1.5 is no integer of 64 bits"),
        ({"x": 1.0}, 2**63, "step: 9223372036854775808 is no integer"),
        ({"x": 1.0}, True, "step: True is no integer"),
    ],
)
def test_what_can_not_be_logged_is_refused_at_once(values: Any, step: Any, why: str, here: Path) -> None:
    with begun() as run:
        run.log({"y": 1.0})
        with pytest.raises(UserError, match=why):
            run.log({"beside": 1.0, **values}, step)
        run.log({"y": 2.0})
    assert series(run.folder, "y") == [(0, 1.0), (1, 2.0)]
    assert series(run.folder, "beside") == []


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda run: run.artifact("nowhere.txt"), "nowhere.txt: there is no such file"),
        (lambda run: run.artifact(__file__, "../x"), "leads out of the run"),
        (lambda run: run.artifact(__file__, "/x"), "leads out of the run"),
        (lambda run: run.artifact(None), "artifact: None is no path"),
        (lambda run: run.artifact(__file__, 3), "artifact: 3 is no path"),
        (lambda run: run.image("faces", torch.zeros(3)), r"image faces: shape \[3\]"),
        (lambda run: run.image("faces", torch.zeros(3, 3), step=0.5), "step: 0.5 is no integer"),
        (lambda run: run.log([1, 2]), r"log: \[1, 2\] is no mapping of names to numbers"),
        (lambda run: run.watch(nn.Linear(1, 1), every=0), "every=0"),
        (lambda run: run.end("DONE"), "status: 'DONE' is none of FINISHED, FAILED, KILLED"),
    ],
)
def test_other_mistakes_are_one_message(call: Any, why: str, here: Path) -> None:
    with begun() as run, pytest.raises(UserError, match=why):
        call(run)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"uri": "nowhere"}, "is a folder, and MLflow's file store"),
        ({"uri": "foo://bar"}, "no store that MLflow has"),
        ({"experiment": " "}, "experiment: needs a name"),
        ({"runs": "/proc/nothing"}, "runs: /proc/nothing"),
        ({"runs": None}, "runs: None is no path"),
        ({"uri": "localhost:5000"}, "^uri: 'localhost:5000' has no scheme"),
        ({"experiment": 3}, "experiment: 3 is no text"),
        ({"tags": ["a"]}, r"tags: \['a'\] is no mapping of names to values"),
        ({"params": "lr"}, "params: 'lr' is no mapping"),
        ({"every": "often"}, "every: 'often' is no number of seconds"),
        ({"every": 0}, "every=0, wait=0.0: seconds; every is more than 0"),
        ({"wait": math.nan}, "wait=nan: seconds"),
        ({"wait": None}, "wait: None is no number of seconds"),
        ({"tracking_uri": "sqlite:///x.db"}, "tracking_uri: is called uri here"),
        ({"run_name": "x"}, "run_name: is called name here; for a param of that name"),
    ],
)
def test_what_can_not_be_recorded_writes_nothing(options: dict[str, Any], why: str, here: Path) -> None:
    with pytest.raises(ConfigError, match=why):
        begun(**options)
    assert [path.name for path in (here / "runs").iterdir()] == ["mlflow.db"]


def test_a_run_that_fails_says_so_with_its_traceback(here: Path) -> None:
    with pytest.raises(ZeroDivisionError), begun() as run:
        _ = 1 / 0
    found = stored(run.folder)
    assert found.info.status == "FAILED"
    assert found.data.tags["weft.error"] == "ZeroDivisionError: division by zero"
    assert "1 / 0" in (run.folder / "traceback.txt").read_text()


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), "KILLED"), (SystemExit(0), "FINISHED"), (SystemExit(3), "FAILED"), (SystemExit(), "FINISHED")],
)
def test_the_status_is_how_the_block_ended(error: BaseException, status: str, here: Path) -> None:
    with pytest.raises(type(error)), begun() as run:
        raise error
    assert Folder(run.folder).record()["status"] == status


def test_an_ended_run_takes_no_more_and_can_be_ended_again(here: Path) -> None:
    run = begun()
    before = signal.getsignal(signal.SIGTERM)
    run.end("KILLED")
    run.end()
    assert Folder(run.folder).record()["status"] == "KILLED"
    with pytest.raises(WeftError, match="has ended"):
        run.log({"x": 1.0})
    assert before != signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_was_flushed_is_there_and_the_rest_soon(here: Path) -> None:
    with begun() as run:
        run.log({"x": 1.0})
        run.flush()
        assert series(run.folder, "x") == [(0, 1.0)]
        run.log({"x": 2.0})
        deadline = threading.Event()
        for _ in range(200):
            if len(series(run.folder, "x")) == 2:
                break
            deadline.wait(0.05)
        assert series(run.folder, "x") == [(0, 1.0), (1, 2.0)]


def test_many_rows_do_not_pile_up(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.tracking._MOST_STAGED", 50)
    with begun() as run:
        run._flushing.acquire()  # the thread that flushes stands still
        flusher = threading.Thread(target=lambda: run._flushing.release())
        for step in range(49):
            run.log({"x": float(step)})
        flusher.start()
        run.log({"x": 49.0})
        assert not run._staged
    assert len(series(run.folder, "x")) == 50


def test_a_watched_model_s_gradients_are_recorded(here: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    other = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    others = torch.optim.SGD(other.parameters(), lr=0.1)
    expected = []
    with begun() as run:
        run.watch(model, every=5)
        for step in range(1, 13):
            optimizer.zero_grad()
            model(torch.randn(8, 3)).square().mean().backward()
            gradient = model[0].weight.grad
            assert gradient is not None
            if step in (1, 5, 10):
                before = model[0].weight.detach().clone()
                expected.append(
                    (step, float(gradient.norm()), float(before.norm()), float(0.1 * gradient.norm() / before.norm()))
                )
            optimizer.step()
            other(torch.randn(8, 2)).mean().backward()
            others.step()
    for place, key in enumerate(["grad_norm", "param_norm", "update_ratio"], 1):
        found = series(run.folder, f"{key}/0.weight")
        assert [step for step, _ in found] == [step for step, *_ in expected]
        wanted = [row[place] for row in expected]
        if key != "param_norm":
            assert [value for _, value in found] == pytest.approx(wanted, rel=1e-5)
    assert not optimizers._global_optimizer_pre_hooks


def test_two_runs_at_once_keep_apart(here: Path) -> None:
    with begun() as first, begun() as second:
        for step in range(5):
            first.log({"x": float(step)})
            second.log({"x": -float(step)})
    assert [value for _, value in series(first.folder, "x")] == [0, 1, 2, 3, 4]
    assert [value for _, value in series(second.folder, "x")] == [0, -1, -2, -3, -4]


_SCRIPT = """
    import os, signal, sys, time
    import weft
    run = weft.track("script", wait=0.0, every=None)
    print(run.folder, flush=True)
    run.log({"x": 1.0})
"""


@pytest.mark.parametrize(
    ("ending", "status", "code"),
    [
        ("", "FINISHED", 0),
        ("raise ValueError('no')", "FAILED", 1),
        ("run.flush(); os.kill(os.getpid(), signal.SIGKILL)", "FAILED", -9),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", "KILLED", 143),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", "KILLED", -2),
        ("with run: os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", "KILLED", 143),
        ("with run: os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", "KILLED", -2),
    ],
)
def test_a_script_s_run_ends_as_the_script_did(ending: str, status: str, code: int, here: Path) -> None:
    source = textwrap.dedent(_SCRIPT) + ending
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    folder = Path(done.stdout.strip()) if Path(done.stdout.strip()).is_absolute() else here / done.stdout.strip()
    deadline = threading.Event()
    from mlflow import MlflowClient

    client = MlflowClient(absolute_uri(_STORE))
    for _ in range(600):
        runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
        if runs and runs[0].info.status != "RUNNING":
            break
        deadline.wait(0.1)
    assert [run.info.status for run in runs] == [status]
    assert runs[0].data.metrics == {"x": 1.0}
    assert verification.verify(folder, _STORE).is_right


def test_it_needs_no_torch_and_no_mlflow(here: Path) -> None:
    source = """
    import sys, weft
    with weft.track("light", wait=0.0) as run:
        run.log({"x": 1.0})
    assert sys.modules.keys().isdisjoint(["torch", "mlflow", "hydra", "sqlalchemy"]), sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(source)], check=True)


def test_a_value_of_half_precision_is_recorded(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with weft.track("half", runs=tmp_path, uri=uri, every=None, wait=0) as run:
        run.log({"bfloat16": torch.tensor(1.5, dtype=torch.bfloat16), "half": torch.tensor(2.5).half(), "plain": 3.5})
    (row,) = journal.rows(next(run.folder.glob("*.journal")))
    assert dict(zip(row.keys, row.values, strict=True)) == {"bfloat16": 1.5, "half": 2.5, "plain": 3.5}


def test_sigterm_is_ours_until_the_last_run_ends(tmp_path: Path) -> None:
    uri, before = f"sqlite:///{tmp_path}/mlflow.db", signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        first, second = (weft.track("two", runs=tmp_path, uri=uri, every=None, wait=0) for _ in range(2))
        first.end()
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        second.end()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_device_that_is_lost_hides_no_error_and_the_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setattr("weft.telemetry.transfer.transferred", lambda tensors: (_ for _ in ()).throw(RuntimeError("CUDA")))
    run = weft.track("lost", runs=tmp_path, uri=uri, every=None, wait=0)

    def script() -> None:
        with run:
            run.log({"x": torch.tensor(1.0)})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        script()
    entries, _ = journal.read(next(run.folder.glob("*.journal")), 1, 100)
    assert entries[-1].told == {"status": "FAILED"}
    assert any("ZeroDivisionError" in str(entry.told) for entry in entries if entry.kind == "tags")


@pytest.mark.parametrize(
    "bad",
    [torch.tensor(1 + 2j), torch.ones(1).to_sparse(), torch.ones(1, device="meta")],
    ids=["complex", "sparse", "meta"],
)
def test_a_tensor_that_is_no_real_number_is_refused_at_once(bad: torch.Tensor, tmp_path: Path) -> None:
    with weft.track("bad", runs=tmp_path, uri=f"sqlite:///{tmp_path}/mlflow.db", every=None, wait=0) as run:
        run.log({"good": 1.0})
        with pytest.raises(UserError, match="bad: a tensor of .* is no real number"):
            run.log({"bad": bad})
        run.log({"good": 2.0}, step=np.int64(7))
    rows = journal.rows(next(run.folder.glob("*.journal")))
    assert [(row.step, *row.values) for row in rows] == [(0, 1.0), (7, 2.0)]


def test_what_cannot_be_watched_or_kept_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with weft.track("bad", runs=tmp_path / "runs", uri=f"sqlite:///{tmp_path}/mlflow.db", every=None, wait=0) as run:
        for model in ("x", None, nn.Linear, [nn.Linear(1, 1)]):
            with pytest.raises(UserError, match="is no torch.nn.Module"):
                run.watch(model)  # type: ignore[arg-type]
        with pytest.raises(UserError, match=r"every=1\.5"):
            run.watch(nn.Linear(1, 1), every=1.5)  # type: ignore[arg-type]
        for path in (".", "runs", "", run.folder):
            with pytest.raises(UserError, match="holds the folder of the run itself"):
                run.artifact(path)
    with pytest.raises(WeftError, match="the run has ended"):
        run.watch(nn.Linear(1, 1))


@pytest.mark.parametrize("odd", ["/dev/zero", "pipe", "folder", "back", "loop", "closed", "below a file"])
def test_what_cannot_be_copied_is_no_artifact(odd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    for name in ("folder", "back", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "good").touch()
    os.mkfifo("folder/pipe")
    os.symlink(".", "back/again")
    os.symlink("nowhere", "back/none")
    os.symlink("loop", "loop")
    (tmp_path / "closed" / "secret").touch(mode=0)
    if odd == "closed" and os.geteuid() == 0:
        monkeypatch.setattr(shutil, "copytree", mock.Mock(side_effect=PermissionError(13, "Permission denied")))
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with weft.track("odd", runs=tmp_path / "runs", uri=uri, every=None, wait=0) as run:
        run.artifact("folder/good")
        with pytest.raises(UserError, match=r"^artifact: "):
            run.artifact(*("folder/good", "good") if odd == "below a file" else (odd,))
        run.artifact("folder/good", "again/deeper")
    (path,) = run.folder.glob("*.journal")
    kept = [entry.told for entry in journal.entries(path) if entry.kind == "artifact"]
    root = run.folder.absolute()
    assert kept[1:] == [
        {"path": f"{root}/artifacts/good", "folder": ""},
        {"path": f"{root}/artifacts/again/deeper/good", "folder": "again/deeper"},
    ]


def test_a_folder_is_kept_with_what_its_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "real" / "inner" / "file").write_text("text")
    os.symlink("inner", tmp_path / "real" / "link")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with weft.track("links", runs=tmp_path / "runs", uri=uri, every=None, wait=0) as run:
        run.artifact(tmp_path / "real", "below")
    assert (run.folder / "artifacts" / "below" / "real" / "link" / "file").read_text() == "text"
    (path,) = run.folder.glob("*.journal")
    kept = [entry.told for entry in journal.entries(path) if entry.kind == "artifact"]
    assert kept[1:] == [{"path": f"{run.folder.absolute()}/artifacts/below/real", "folder": "below/real"}]


def test_a_tensor_that_can_not_be_read_takes_no_others_with_it(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with weft.track("escaped", runs=tmp_path / "runs", uri=uri, every=None, wait=0) as run:
        run.log({"good": 1.0})
        torch.vmap(lambda x: (run.log({"bad": x, "beside": 5.0}), x)[1])(torch.ones(2))
        run.log({"good": 2.0})
        with pytest.raises(WeftError, match="bad at step 1: can't be read, and not recorded"):
            run.flush()
    assert series(run.folder, "good") == [(0, 1.0), (2, 2.0)]
    assert series(run.folder, "beside") == [(1, 5.0)]


def test_a_flush_that_is_interrupted_takes_nothing_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with weft.track("interrupted", runs=tmp_path / "runs", uri=uri, every=None, wait=0) as run:
        run.log({"x": torch.tensor(1.0)})
        with monkeypatch.context() as patch:
            patch.setattr("weft.tracking._rows", mock.Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                run.flush()
    assert series(run.folder, "x") == [(0, 1.0)]


def test_an_end_that_is_interrupted_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    run = weft.track("interrupted", runs=tmp_path / "runs", uri=uri, every=None, wait=0)
    with monkeypatch.context() as patch:
        patch.setattr(run._tracker, "end", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run.end()
    assert Folder(run.folder).record()["status"] == "FINISHED"
    run._tracker.end(Status.FINISHED)


def test_a_fork_says_whose_the_run_is(tmp_path: Path) -> None:
    source = f"""
    import os, sys, weft
    with weft.track("fork", runs={str(tmp_path / "runs")!r}, every=None, wait=0) as run:
        run.log({{"x": 1.0}})
        pid = os.fork()
        if pid == 0:
            try:
                run.log({{"x": 2.0}})
            except weft.WeftError as error:
                print(error, flush=True)
            sys.exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        run.log({{"x": 3.0}})
    print(run.folder, flush=True)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, check=True)
    told, code, folder = done.stdout.splitlines()
    assert told == "a run is reported by the process that started it, not by its forks"
    assert (code, done.stderr) == ("0", "")
    assert series(Path(folder), "x") == [(0, 1.0), (1, 3.0)]


def test_what_has_no_real_number_is_none(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with weft.track("x", runs=tmp_path / "runs", uri=uri, every=None, wait=0, tags={1: "a"}) as run:
        for value in (np.complex128(1 + 2j), np.array("4"), np.str_("3")):
            with pytest.raises(UserError, match="is no number"):
                run.log({"x": value})
        run.log({"x": np.float32(2.5), "y": np.array(3)})
        kept = run.folder / "artifacts" / "note"
        kept.parent.mkdir()
        kept.touch()
        run.artifact(kept)
    assert series(run.folder, "x") == [(0, 2.5)]
