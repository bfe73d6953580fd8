"""The tracker on a real SQLite store, read back with MLflow's own client."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from tests.core.telemetry.conftest import Client, Track, Trainer, await_end, begun, point, ship, shipper_of
from weft.errors import TrackingError, UserError
from weft.telemetry import delivery, shipper, shipping
from weft.telemetry.fast_store import FastStore
from weft.telemetry.progress import ProgressFile
from weft.telemetry.spool import Spool
from weft.telemetry.store import Point
from weft.telemetry.tracker import DatasetInput, Opening, Row, Status

pytestmark = pytest.mark.integration

_NOW = 1_700_000_000_000


def test_a_whole_run_is_read_back_as_it_was_reported(store: str, client: Client, tmp_path: Path, track: Track) -> None:
    tracker = track(store, tmp_path / "kept # here")
    file = tmp_path / "notes.txt"
    file.write_text("as it was")
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "weights.bin").write_bytes(bytes(range(256)))
    begun = time.time_ns() // 1_000_000
    tracker.start(
        Opening(
            name="net-digits",
            experiment="first/one",
            params={"optimizer.lr": "0.1", "optimizer": "sgd", "hub.token": "hush"},
            tags={"weft.version": "1", "note": "https://ann:hush@host/x"},
            dataset=DatasetInput("digits", "0123456789abcdef" * 4, "package:digits", {"train": 10, "task": "classes"}),
        )
    )
    tracker.log([point("train/loss", 0.1 + 0.2, step, _NOW + step) for step in range(3)])
    tracker.tag({"weft.sweep": "night"})
    tracker.artifact(file)
    tracker.artifact(folder, "model")
    tracker.log([point("train/loss", 5e-324, 3, _NOW + 3)])
    tracker.end(Status.FINISHED)

    reader = client(store)
    run = reader.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "net-digits"
    assert begun <= run.info.start_time <= run.info.end_time
    assert run.data.params == {"optimizer.lr": "0.1", "optimizer": "sgd", "hub.token": "[redacted]"}
    assert {"weft.version": "1", "note": "https://[redacted]@host/x", "weft.sweep": "night"}.items() <= run.data.tags.items()
    history = [(m.step, m.value, m.timestamp) for m in reader.get_metric_history(tracker.run_id, "train/loss")]
    assert history == [*((step, 0.1 + 0.2, _NOW + step) for step in range(3)), (3, 5e-324, _NOW + 3)]
    (given,) = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("digits", "0123456789abcdef" * 2 + "0123")
    assert json.loads(given.dataset.profile) == {"train": 10, "task": "classes"}
    assert json.loads(given.dataset.source) == {"uri": "package:digits"}
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]
    kept = tmp_path / "kept # here" / "first_one" / tracker.run_id / "artifacts"
    assert (kept / "notes.txt").read_text() == "as it was"
    assert (kept / "model" / "deep" / "weights.bin").read_bytes() == bytes(range(256))
    assert {item.path for item in reader.list_artifacts(tracker.run_id)} == {"notes.txt", "model"}


def test_ten_thousand_points_arrive_in_order_and_once(shared_store: str, client: Client, track: Track) -> None:
    tracker = begun(track(shared_store), "many")
    expected = {f"train/{key}": [(step, step / 7 + key, _NOW + step) for step in range(1000)] for key in range(10)}
    for step in range(0, 1000, 50):
        tracker.log([point(key, *_reordered(row)) for key, rows in expected.items() for row in rows[step : step + 50]])
    tracker.end(Status.FINISHED)
    reader = client(shared_store)
    for key, rows in expected.items():
        assert [(m.step, m.value, m.timestamp) for m in reader.get_metric_history(tracker.run_id, key)] == rows


def test_a_row_is_a_point_of_each_of_its_series(shared_store: str, client: Client, track: Track) -> None:
    tracker = begun(track(shared_store), "rows")
    tracker.log([Row(step, _NOW + step, ["a", "b"], [step / 3, -step]) for step in range(700)])
    tracker.end(Status.FINISHED)
    for key, slope in (("a", 1 / 3), ("b", -1)):
        history = client(shared_store).get_metric_history(tracker.run_id, key)
        assert [(m.step, m.timestamp) for m in history] == [(step, _NOW + step) for step in range(700)]
        assert [m.value for m in history] == pytest.approx([step * slope for step in range(700)])


def test_values_that_are_not_finite_are_kept_and_named(shared_store: str, client: Client, track: Track) -> None:
    tracker = begun(track(shared_store), "not finite")
    tracker.log(
        [
            point("nan", math.nan, 0, _NOW),
            point("up", math.inf, 0, _NOW),
            point("down", -math.inf, 0, _NOW),
            point("fine", 1.0, 0, _NOW),
        ]
    )
    tracker.end(Status.FAILED)
    run = client(shared_store).get_run(tracker.run_id)
    assert run.info.status == "FAILED"
    assert math.isnan(run.data.metrics["nan"])
    assert run.data.metrics["up"] == sys.float_info.max
    assert run.data.metrics["down"] == -sys.float_info.max
    assert run.data.tags["weft.non_finite"] == "nan, up, down"


def test_of_very_many_keys_that_are_not_finite_some_are_named(shared_store: str, client: Client, track: Track) -> None:
    tracker = begun(track(shared_store), "not finite")
    tracker.log([point(f"x{index}", math.inf, 0, _NOW) for index in range(30)])
    tracker.end(Status.FINISHED)
    named = client(shared_store).get_run(tracker.run_id).data.tags["weft.non_finite"]
    assert named == ", ".join(f"x{index}" for index in range(20)) + ", …"


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("train/loss", "train/loss"),
        ("verlust/größe", "verlust/größe"),
        ("what?\n🙂", "what___"),
        ("/absolute//twice/", "_/absolute/_/twice/_"),
        ("a/../b/.", "a/__/b/_"),
        ("", "_"),
    ],
)
def test_names_that_mlflow_refuses_are_mended(name: str, stored: str, shared_store: str, client: Client, track: Track) -> None:
    tracker = track(shared_store)
    tracker.start(Opening("names", "names", params={name: "1"}, tags={name: "2"}))
    tracker.log([point(name, 3.0, 0, _NOW)])
    tracker.end(Status.FINISHED)
    data = client(shared_store).get_run(tracker.run_id).data
    assert data.params == {stored: "1"}
    assert data.tags[stored] == "2"
    assert data.metrics == {stored: 3.0}


def test_long_names_stay_apart(shared_store: str, client: Client, track: Track) -> None:
    tracker = begun(track(shared_store), "names")
    tracker.log([point("x" * 300 + end, 1.0, 0, _NOW) for end in "ab"])
    tracker.end(Status.FINISHED)
    metrics = client(shared_store).get_run(tracker.run_id).data.metrics
    assert len(metrics) == 2
    assert {len(key) for key in metrics} == {250}


def test_long_values_are_cut_and_params_are_kept_whole(shared_store: str, client: Client, tmp_path: Path, track: Track) -> None:
    tracker = track(shared_store, tmp_path)
    whole = "words " * 2000
    params = {"model.layers": whole, **{f"p{index}": "1" for index in range(250)}}
    tracker.start(Opening("long", "long", params=params, tags={"story": whole}))
    tracker.end(Status.FINISHED)
    data = client(shared_store).get_run(tracker.run_id).data
    assert len(data.params) == 251
    assert data.params["model.layers"] == whole[:5999] + "…"
    assert data.tags["story"] == whole[:7999] + "…"
    assert (tmp_path / "long" / tracker.run_id / "artifacts" / "params" / "model.layers.txt").read_text() == whole


def test_a_run_goes_on_and_its_params_stay(shared_store: str, client: Client, track: Track) -> None:
    first = track(shared_store)
    first.start(Opening("first", "again", params={"epochs": "2", "lr": "0.1"}, tags={"a": "1", "b": "1"}))
    first.log([point("x", 1.0, 1, _NOW)])
    first.end(Status.KILLED)
    second = track(shared_store)
    params = {"epochs": "4", "lr": "0.1", "seed": "0"}
    second.start(Opening("second", "elsewhere", params=params, tags={"a": "2"}, run_id=first.run_id))
    reader = client(shared_store)
    assert second.run_id == first.run_id
    assert reader.get_run(first.run_id).info.status == "RUNNING"
    second.log([point("x", 2.0, 2, _NOW)])
    second.end(Status.FINISHED)
    run = reader.get_run(first.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert run.data.params == {"epochs": "2", "lr": "0.1", "seed": "0"}
    assert {"a": "2", "b": "1", "weft.changed.epochs": "4"}.items() <= run.data.tags.items()
    assert "weft.changed.lr" not in run.data.tags
    assert [m.step for m in reader.get_metric_history(first.run_id, "x")] == [1, 2]


def test_a_run_that_is_not_in_this_store_gets_one_of_its_own(shared_store: str, client: Client, track: Track) -> None:
    tracker = begun(track(shared_store), "again", run_id="0" * 32)
    tracker.end(Status.FINISHED)
    assert tracker.run_id != "0" * 32
    assert client(shared_store).get_run(tracker.run_id).info.status == "FINISHED"


def test_one_bad_point_does_not_take_the_others_along(
    store: str, client: Client, track: Track, monkeypatch: pytest.MonkeyPatch, unshipped: None, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = begun(track(store, wait=0), "poison")
    tracker.log([point("bad" if step == 500 else "good", float(step), step, _NOW) for step in range(1000)])
    tracker.end(Status.FINISHED)
    write = FastStore.log_points

    def refuse(self: Any, run_id: str, points: Sequence[Point]) -> None:
        if any(key == "bad" for key, *_ in points):
            raise MlflowException("a bad one", INVALID_PARAMETER_VALUE)
        write(self, run_id, points)

    monkeypatch.setattr(FastStore, "log_points", refuse)
    ship(store)
    reader = client(store)
    run = reader.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["weft.refused"] == "bad = 500.0 at step 500"
    assert [m.step for m in reader.get_metric_history(tracker.run_id, "good")] == [*range(500), *range(501, 1000)]
    ((_, what, why),) = Spool(store).dead_letters(tracker._pointer)
    assert (what, why) == ("bad = 500.0 at step 500", "a bad one")


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([Row(0, _NOW, ["bad"], [{}])], "bad: '{}' at step 0 is no number"),  # type: ignore[list-item]
        ([Row(3, _NOW, ["good", "bad"], [1.0, "x"])], "bad: 'x' at step 3 is no number"),  # type: ignore[list-item]
        ([Row(0, _NOW, ["bad"], [10**400])], "bad: '1000"),
        ([Row(2**63, _NOW, ["bad"], [1.0])], f"bad: step {2**63} is no integer of 64 bits"),
        ([Row(1.5, _NOW, ["bad"], [1.0])], "bad: step 1.5 is no integer"),  # type: ignore[arg-type]
        ([Row(0, _NOW, ["one", "two"], [1.0])], "one, two: 1 values for 2 keys at step 0"),
    ],
)
def test_what_is_no_number_is_refused_at_once(
    rows: list[Row], why: str, store: str, client: Client, track: Track, unshipped: None
) -> None:
    tracker = begun(track(store, wait=0), "poison")
    with pytest.raises(UserError, match=re.escape(why)):
        tracker.log([point("beside", 1.0, 0, _NOW), *rows])
    tracker.log([point("after", 1.0, 0, _NOW)])
    tracker.end(Status.FINISHED)
    ship(store)
    assert client(store).get_run(tracker.run_id).data.metrics == {"after": 1.0}


def test_an_artifact_that_is_not_there_is_told(
    shared_store: str, client: Client, tmp_path: Path, track: Track, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = begun(track(shared_store), "poison")
    tracker.artifact(tmp_path / "nowhere.txt")
    tracker.tag({"after": "1"})
    tracker.end(Status.FINISHED)
    assert f"refused artifact {tmp_path}/nowhere.txt: " in caplog.text
    run = client(shared_store).get_run(tracker.run_id)
    assert (run.info.status, run.data.tags["after"]) == ("FINISHED", "1")
    assert run.data.tags["weft.refused"] == f"artifact {tmp_path}/nowhere.txt"


def test_a_deleted_run_is_parked_and_passes_when_it_is_restored(
    store: str, client: Client, track: Track, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = begun(track(store), "deleted")
    reader = client(store)
    reader.delete_run(tracker.run_id)
    tracker.log([point("x", float(step), step, _NOW) for step in range(500)])
    tracker.end(Status.FINISHED)
    assert f"run {tracker.known_id} in {store} is deleted: restore it" in caplog.text
    spool, pointer = Spool(store), tracker._pointer
    assert spool.progress_of(pointer).state == "parked"
    assert tracker.known_id is not None
    reader.restore_run(tracker.known_id)
    spool.register(pointer)
    shipping.ensure(spool)
    assert spool.wait(pointer, 60).state == "done"
    assert len(reader.get_metric_history(tracker.run_id, "x")) == 500


def test_a_deleted_experiment_is_told_and_can_be_restored(
    store: str, client: Client, track: Track, caplog: pytest.LogCaptureFixture
) -> None:
    reader = client(store)
    experiment = reader.create_experiment("old")
    reader.delete_experiment(experiment)
    tracker = begun(track(store), "old")
    tracker.end(Status.FINISHED)
    assert "experiment 'old' in sqlite" in caplog.text
    assert "is deleted: restore it" in caplog.text
    with pytest.raises(TrackingError, match="is deleted: restore it.*weft sync"):
        _ = tracker.run_id
    reader.restore_experiment(experiment)
    Spool(store).register(tracker._pointer)
    shipping.ensure(Spool(store))
    assert Spool(store).wait(tracker._pointer, 60).state == "done"
    assert reader.get_run(tracker.run_id).info.experiment_id == experiment


def test_two_runs_at_once_keep_apart_and_share_a_process(shared_store: str, client: Client, track: Track) -> None:
    runs = [begun(track(shared_store), "two") for _ in range(2)]
    for step in range(200):
        for offset, tracker in enumerate(runs):
            tracker.log([point("x", step + offset / 2, step, _NOW)])
    runs[0].end(Status.KILLED)
    runs[1].log([point("x", -1.0, 200, _NOW)])
    runs[1].end(Status.FINISHED)
    reader = client(shared_store)
    assert [reader.get_run(run.run_id).info.status for run in runs] == ["KILLED", "FINISHED"]
    histories = [[m.value for m in reader.get_metric_history(run.run_id, "x")] for run in runs]
    assert histories == [[float(step) for step in range(200)], [*(step + 0.5 for step in range(200)), -1.0]]


def test_a_tracker_that_was_not_started_or_has_ended_says_so(store: str, track: Track, unshipped: None) -> None:
    tracker = track(store, wait=0)
    with pytest.raises(TrackingError, match="not started"):
        tracker.end(Status.FAILED)
    with pytest.raises(TrackingError, match="not started"):
        tracker.log([point("x", 1.0, 0, _NOW)])
    begun(tracker, "ended").end(Status.FINISHED)
    with pytest.raises(TrackingError, match="has ended"):
        tracker.log([point("x", 1.0, 0, _NOW)])


def test_a_killed_shipper_is_replaced_and_nothing_is_lost(store: str, client: Client, track: Track) -> None:
    tracker = begun(track(store), "killed")
    _ = tracker.run_id
    killed = shipper_of(store)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    tracker.log([point("x", float(step), step, _NOW) for step in range(100)])
    tracker.end(Status.FINISHED)
    assert not Spool(store).is_pending(tracker._pointer)
    assert shipper_of(store) != killed
    run = client(store).get_run(tracker.run_id)
    assert (run.info.status, len(client(store).get_metric_history(tracker.run_id, "x"))) == ("FINISHED", 100)


def test_a_shipper_that_fails_tells_what_it_printed(
    store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, track: Track
) -> None:
    broken = tmp_path / "path" / "mlflow"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('broken installation')")
    monkeypatch.setenv("PYTHONPATH", f"{broken.parent}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(shipping, "_PAUSE", 0.0)
    tracker = begun(track(store, wait=0.0), "broken")
    tracker.end(Status.FINISHED)
    with pytest.raises(TrackingError, match=r"(?s)ended with code 1: .*ImportError: broken installation"):
        _ = tracker.run_id


def test_nothing_waits_for_a_shipper_that_stands_still(store: str, client: Client, track: Track) -> None:
    tracker = begun(track(store, wait=0.5), "stopped")
    _ = tracker.run_id
    pid = shipper_of(store)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        begin = time.perf_counter()
        for start in range(0, 10_000, 100):
            tracker.log([point("x", float(step), step, _NOW + step) for step in range(start, start + 100)])
        tracker.tag({"seen": "1"})
        tracker.end(Status.FINISHED)
        took = time.perf_counter() - begin
    finally:
        os.kill(pid, signal.SIGCONT)
    assert took < 2.5
    assert len(client(store).get_metric_history(tracker.run_id, "x")) == 10_000


def test_a_terminal_s_signals_leave_the_shipper_alone_and_it_ends_politely(store: str, client: Client, track: Track) -> None:
    tracker = begun(track(store), "signals")
    _ = tracker.run_id
    pid = shipper_of(store)
    assert pid is not None
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    tracker.log([point("x", 1.0, 0, _NOW)])
    tracker.end(Status.KILLED)
    assert client(store).get_run(tracker.run_id).data.metrics == {"x": 1.0}
    process = shipping._started[Spool(store).uri].process
    os.kill(pid, signal.SIGTERM)
    assert process.wait(30) == 0


def test_warming_up_writes_nothing_and_is_not_waited_for(tmp_path: Path) -> None:
    code = "import sys; from weft.telemetry import shipping; shipping.warm(); assert 'mlflow' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_the_trainer_imports_neither_mlflow_nor_torch() -> None:
    code = "import sys, weft.telemetry.recording; assert sys.modules.keys().isdisjoint(['mlflow', 'torch', 'sqlalchemy'])"
    subprocess.run([sys.executable, "-c", code], check=True)


_REPORT = """
    tracker.start(Opening("x", "dying"))
    tracker.log([point("x", float(step), step, 1) for step in range(2500)])
    print(tracker.run_id, flush=True)
"""


@pytest.mark.parametrize(
    "ending",
    ["os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGTERM)", "sys.exit(3)", "raise ValueError"],
)
def test_a_run_whose_trainer_dies_without_a_word_has_failed(ending: str, store: str, client: Client, trainer: Trainer) -> None:
    process = trainer(_REPORT + "    " + ending, store)
    run_id, _ = process.communicate()
    run = await_end(client(store), run_id.strip())
    assert process.returncode != 0
    assert run.info.status == "FAILED"
    assert "without a word" in run.data.tags["weft.error"]


def test_a_trainer_that_is_killed_loses_no_point_that_was_sent(
    store: str, client: Client, trainer: Trainer, track: Track
) -> None:
    """What `end` of another run has confirmed was sent before it, and is there."""
    source = """
    other = new()
    tracker.start(Opening("x", "dying"))
    other.start(Opening("x", "dying"))
    tracker.log([point("x", float(step), step, 1) for step in range(2500)])
    other.end(Status.FINISHED)
    print(tracker.run_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    run_id, _ = trainer(source, store).communicate()
    reader = client(store)
    await_end(reader, run_id.strip())
    assert [m.step for m in reader.get_metric_history(run_id.strip(), "x")] == list(range(2500))


def test_a_fork_that_outlives_its_trainer_does_not_keep_the_run_open(store: str, client: Client, trainer: Trainer) -> None:
    ending = """
    if os.fork() == 0:
        signal.alarm(120)
        try:
            tracker.log([point("y", 1.0, 0, 1)])
        except Exception as error:
            print(os.getpid(), error, flush=True)
        signal.pause()
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
    """
    process = trainer(_REPORT + ending, store)
    assert process.stdin is not None
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    fork, _, error = process.stdout.readline().partition(" ")
    try:
        assert "not by its forks" in error
        process.stdin.write("die\n")
        process.stdin.flush()
        process.wait()
        run = await_end(client(store), run_id)
        os.kill(int(fork), 0)
    finally:
        os.kill(int(fork), signal.SIGKILL)
    assert run.info.status == "FAILED"
    assert run.data.metrics.keys() == {"x"}


def test_four_trainers_at_once_on_a_store_that_is_not_there_yet(tmp_path: Path, client: Client, trainer: Trainer) -> None:
    store = f"sqlite:///{tmp_path}/new/folder/mlflow.db"
    source = """
    tracker.start(Opening(sys.argv[2], "race"))
    tracker.log([point("x", 1.0, 0, 1)])
    tracker.end(Status.FINISHED)
    print(tracker.run_id)
    """
    processes = [trainer(source, store, str(number)) for number in range(4)]
    said = [process.communicate() for process in processes]
    assert [(process.returncode, errors) for process, (_, errors) in zip(processes, said, strict=True)] == [(0, "")] * 4
    reader = client(store)
    runs = [reader.get_run(run_id.strip()) for run_id, _ in said]
    assert {run.info.run_name for run in runs} == {"0", "1", "2", "3"}
    assert len({run.info.experiment_id for run in runs}) == 1
    assert all(run.info.status == "FINISHED" and run.data.metrics == {"x": 1.0} for run in runs)


def test_a_relative_path_is_of_the_folder_the_tracker_was_made_in(
    store: str, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, track: Track
) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = track("sqlite:///mlflow.db", Path("artifacts"))
    file = Path("here.txt")
    file.write_text("here")
    (tmp_path / "other").mkdir()
    tracker.start(Opening("x", "relative"))
    tracker.artifact(file)
    monkeypatch.chdir(tmp_path / "other")
    tracker.end(Status.FINISHED)
    assert (tmp_path / "artifacts" / "relative" / tracker.run_id / "artifacts" / "here.txt").read_text() == "here"
    assert list((tmp_path / "other").iterdir()) == []


def test_artifacts_are_beside_the_database_when_nothing_else_is_said(
    store: str, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, track: Track
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    tracker = begun(track(store), "default")
    tracker.artifact(Path(__file__))
    tracker.end(Status.FINISHED)
    assert (tmp_path / "artifacts" / "default" / tracker.run_id / "artifacts" / "test_recording.py").is_file()
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("experiment", ["../../outside", "/etc", "..", "a/b"])
def test_an_experiments_artifacts_stay_in_their_folder(
    experiment: str, shared_store: str, client: Client, tmp_path: Path, track: Track
) -> None:
    tracker = track(shared_store, tmp_path / "artifacts")
    tracker.start(Opening("x", experiment))
    tracker.end(Status.FINISHED)
    reader = client(shared_store)
    found = reader.get_experiment(reader.get_run(tracker.run_id).info.experiment_id)
    place = Path(found.artifact_location.removeprefix("file://")).resolve()
    assert place.parent == tmp_path / "artifacts"


def _reordered(row: tuple[int, float, int]) -> tuple[float, int, int]:
    step, value, at = row
    return value, step, at


def test_a_journal_that_can_not_be_shipped_does_not_stop_the_others(
    store: str, client: Client, track: Track, monkeypatch: pytest.MonkeyPatch, unshipped: None
) -> None:
    bad, good = (begun(track(store, wait=0), "apart", name=name) for name in ("bad", "good"))
    for tracker in (bad, good):
        tracker.log([point("x", 1.0, 0, _NOW)])
        tracker.end(Status.FINISHED)
    begin = delivery.begin

    def refuse(store: Any, opening: Any, refuse: Any) -> Any:
        if opening["name"] == "bad":
            raise MlflowException("no such column", INVALID_PARAMETER_VALUE)
        return begin(store, opening, refuse)

    monkeypatch.setattr(delivery, "begin", refuse)
    ship(store)
    assert client(store).get_run(good.run_id).data.metrics == {"x": 1.0}
    assert Spool(store).progress_of(bad._pointer).state == "parked"
    with pytest.raises(TrackingError, match=r"1\.journal: MlflowException: no such column"):
        _ = bad.run_id


@pytest.mark.parametrize("name", ["", "x" * 10_000, "\0\n"])
def test_a_run_may_have_any_name(name: str, shared_store: str, client: Client, track: Track) -> None:
    tracker = begun(track(shared_store), "names", name=name)
    tracker.end(Status.FINISHED)
    shown = client(shared_store).get_run(tracker.run_id).info.run_name
    assert 0 < len(shown) <= 250


def test_the_last_attempt_has_the_last_word_also_when_an_earlier_one_is_shipped_late(
    store: str, client: Client, track: Track, tmp_path: Path, unshipped: None
) -> None:
    attempts = []
    for step, status in enumerate((Status.KILLED, Status.FINISHED)):
        tracker = begun(track(store, wait=0, folder=tmp_path / "run"), "late", key="k")
        tracker.log([point("x", float(step), step, _NOW)])
        tracker.end(status)
        attempts.append(tracker._pointer)
    spool = Spool(store)
    spool.forget(attempts[0])
    ship(store)
    reader = client(store)
    run_id = spool.progress_of(attempts[1]).run_id
    assert run_id is not None
    assert reader.get_run(run_id).info.status == "FINISHED"
    spool.register(attempts[0])
    ship(store)
    assert spool.pending() == []
    run = reader.get_run(run_id)
    assert (run.info.status, run.info.lifecycle_stage) == ("FINISHED", "active")
    assert [m.step for m in reader.get_metric_history(run_id, "x")] == [0, 1]


def test_a_disk_that_does_not_take_how_far_it_has_come_is_waited_for(
    store: str, client: Client, track: Track, monkeypatch: pytest.MonkeyPatch, unshipped: None
) -> None:
    tracker = begun(track(store, wait=0), "spool")
    tracker.log([point("x", 1.0, 0, _NOW)])
    tracker.end(Status.FINISHED)
    write, failures = ProgressFile._write, [0]

    def fails(self: ProgressFile, statement: str, values: Any) -> None:
        failures[0] += 1
        self._connection.execute(f"PRAGMA query_only = {failures[0] in (2, 3, 4)}")
        write(self, statement, values)

    monkeypatch.setattr(ProgressFile, "_write", fails)
    monkeypatch.setattr(shipper, "pause", lambda failures, forbidden: 0.0)
    ship(store)
    assert failures[0] > 5
    assert Spool(store).progress_of(tracker._pointer).state == "done"
    assert client(store).get_run(tracker.run_id).info.status == "FINISHED"


def test_a_model_on_a_disk_that_knows_no_second_names_is_copied(
    store: str, track: Track, unshipped: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "last.safetensors").write_bytes(b"weights")
    monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError("another disk")))
    tracker = begun(track(store, wait=0), "copied")
    tracker.model(model)
    tracker.end(Status.FINISHED)
    (model / "last.safetensors").write_bytes(b"others")
    assert (tracker._folder / "1.model" / "last.safetensors").read_bytes() == b"weights"


def test_a_third_attempt_repeats_what_either_of_the_others_reported(
    store: str, track: Track, unshipped: None, tmp_path: Path, client: Client
) -> None:
    for values in ([1.0, 2.0], [1.0, 3.0], [1.0, 3.0]):
        tracker = begun(track(store, folder=tmp_path / "run", wait=0), "third", key="k")
        tracker.rewind(0)
        tracker.log([point("x", value, step, _NOW + step + int(10 * values[1])) for step, value in enumerate(values)])
        tracker.end(Status.FINISHED)
    ship(store)
    found = client(store).get_metric_history(tracker.run_id, "x")
    assert sorted((m.step, m.value) for m in found) == [(0, 1.0), (1, 2.0), (1, 3.0)]
