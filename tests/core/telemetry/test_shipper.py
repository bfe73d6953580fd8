"""Journals on their way into a real MLflow server that fails in every way: all of it arrives, once. The rows are those of the
fault matrix that concern the store's side."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.core.telemetry import faulty_server
from tests.core.telemetry.conftest import Client, Track, Trainer, begun, point, ship
from tests.core.telemetry.faulty_server import FaultyServer, breaking, dripping, losing, poisoned, refusing, slow
from weft.errors import TrackingError
from weft.telemetry import delivery, journal, lease, progress, shipper, verification
from weft.telemetry.client import Forbidden, OutOfReach, Store
from weft.telemetry.delivery import Delivery
from weft.telemetry.recording import JournalTracker
from weft.telemetry.spool import Pointer, Spool
from weft.telemetry.tracker import DatasetInput, Row, Status
from weft.telemetry.verification import Finding

pytestmark = pytest.mark.integration

_NOW = 1_700_000_000_000
_UNAVAILABLE = refusing("503 Service Unavailable")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, template: Path, client: Client) -> Iterator[FaultyServer]:
    store = tmp_path_factory.mktemp("served") / "mlflow.db"
    shutil.copy(template, store)
    with faulty_server.served(store) as server:
        yield server


@pytest.fixture
def server(running: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unshipped: None) -> FaultyServer:
    """A server that does as it is told; who ships to it is in a hurry."""
    running.reset()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    monkeypatch.setattr(shipper, "pause", lambda failures, forbidden=False: 0.005)
    return running


def reported(track: Track, uri: str, points: int = 60) -> JournalTracker:
    """Report a run with something of everything, to its end."""
    tracker = track(uri, wait=0)
    begun(
        tracker,
        "faults",
        params={"lr": "0.1", "long": "w" * 7000},
        tags={"team": "blue"},
        dataset=DatasetInput("digits", "0123", "here", {"train": 10}),
    )
    tracker.log([point("loss", step / 7, step, _NOW + step) for step in range(points)])
    file = tracker._folder / "notes.txt"
    file.write_text("kept")
    tracker.artifact(file, "texts")
    tracker.log([point("accuracy", step / 9, step, _NOW + step) for step in range(points)])
    tracker.tag({"late": "1"})
    tracker.end(Status.FINISHED)
    return tracker


def found(tracker: JournalTracker) -> Finding:
    return verification.verify(tracker._folder, tracker._spool.uri)


def runs_of(client: Client, uri: str, tracker: JournalTracker) -> list[Any]:
    reader = client(uri)
    experiments = [experiment.experiment_id for experiment in reader.search_experiments()]
    return list(reader.search_runs(experiments, f"tags.`weft.key` = '{tracker._pointer.key}'"))


def at(number: int, fault: Any) -> Callable[[int, str], Any]:
    return lambda index, path: fault if index == number else None


def test_all_of_a_run_arrives(server: FaultyServer, track: Track, client: Client) -> None:
    tracker = reported(track, server.url)
    ship(server.url)
    finding = found(tracker)
    assert finding.is_right, finding
    assert (finding.points, finding.missing, finding.doubled) == (120, 0, 0)
    (run,) = runs_of(client, server.url, tracker)
    assert (run.info.status, run.data.tags["late"], run.data.params["lr"]) == ("FINISHED", "1", "0.1")
    assert Spool(server.url).pending() == []


@pytest.mark.parametrize(
    "fault",
    [pytest.param(refusing("500 Internal Server Error"), marks=pytest.mark.accept), losing, breaking],
    ids=["refused", "lost", "broken"],
)
def test_row_10_every_request_fails_once(fault: Any, server: FaultyServer, track: Track, client: Client) -> None:
    """Refused before anything was done, done and the answer lost, done and the answer broken off: each request in its turn, and
    again when MLflow's client repeats it."""
    for _ in range(2):  # the first makes the experiment as well
        server.requests.clear()
        reported(track, server.url)
        ship(server.url)
    requests = len(server.requests)
    assert requests > 8
    trackers = []
    for number in range(requests):
        trackers.append(reported(track, server.url))
        server.requests.clear()
        server.plan = lambda index, path, number=number: fault if number <= index < number + 2 else None
        before = server.injected
        ship(server.url)
        assert server.injected > before
        server.reset()
    for tracker in trackers:
        finding = found(tracker)
        assert finding.is_right, finding
        assert len(runs_of(client, server.url, tracker)) == 1


@pytest.mark.parametrize("times", [1, 2, 5])
def test_row_11_a_run_whose_making_is_never_confirmed_is_made_once(
    times: int, server: FaultyServer, track: Track, client: Client
) -> None:
    tracker = reported(track, server.url)
    left = {"runs/create": times, "runs/search": times}

    def plan(index: int, path: str) -> Any:
        if left.get(path, 0) == 0 or (path == "runs/search" and left["runs/create"] == times):
            return None
        left[path] -= 1
        return losing

    server.plan = plan
    ship(server.url)
    assert left["runs/create"] < times
    server.reset()
    assert found(tracker).is_right
    assert len(runs_of(client, server.url, tracker)) == 1


def test_a_run_that_was_made_late_gives_way_to_the_first(server: FaultyServer, track: Track, client: Client) -> None:
    tracker = reported(track, server.url)
    reader = client(server.url)
    store = Store(server.url)
    for _ in range(2):
        experiment = store.experiment("faults", None)
        reader.create_run(experiment, tags={"weft.key": tracker._pointer.key})
    ship(server.url)
    assert found(tracker).is_right
    assert len(runs_of(client, server.url, tracker)) == 1


def test_row_7_a_server_that_is_down_at_the_start(
    server: FaultyServer, track: Track, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    begin = time.monotonic()
    tracker = reported(track, url)
    assert time.monotonic() - begin < 2
    attempts = []
    stopped = threading.Event()

    def pause(failures: int, forbidden: bool = False) -> float:
        attempts.append(failures)
        if failures == 2:
            stopped.set()
        return 0.0

    monkeypatch.setattr(shipper, "pause", pause)
    shipper.serve(Spool(url), stopped)
    assert attempts == [0, 1, 2]
    assert "can't be reached, or is no MLflow store" in Spool(url).said()
    with pytest.raises(TrackingError, match=r"can't be reached.*weft sync"):
        _ = tracker.run_id
    with faulty_server.served(Path(server.store.removeprefix("sqlite:///")), port):
        ship(url)
        assert Spool(url).said() == ""
        assert found(tracker).is_right


@pytest.mark.parametrize("answer", [refusing("503 Service Unavailable"), losing], ids=["refused", "lost"])
def test_rows_8_and_9_a_server_that_is_down_for_a_while(answer: Any, server: FaultyServer, track: Track) -> None:
    tracker = reported(track, server.url, points=2500)
    server.plan = lambda index, path: answer if 6 <= index < 60 else None
    ship(server.url)
    assert len(server.requests) > 60
    assert found(tracker).is_right


def test_row_12_a_server_that_asks_to_wait_is_obeyed(server: FaultyServer, track: Track) -> None:
    tracker = reported(track, server.url)
    server.plan = at(4, refusing("429 Too Many Requests", {"Retry-After": "1"}))
    ship(server.url)
    (first, _), (second, _) = server.requests[4:6]
    assert second - first >= 1
    assert found(tracker).is_right


def test_row_12_a_storm_of_refusals_is_no_hot_loop() -> None:
    pauses = [shipper.pause(failures) for failures in range(200)]
    assert pauses[0] >= 1
    assert statistics.mean(pauses) > 30
    assert max(pauses) <= 60
    assert min(shipper.pause(0, forbidden=True) for _ in range(100)) >= 30
    assert len({shipper.pause(5) for _ in range(10)}) == 10, "many don't come back at once"


@pytest.mark.parametrize("fault", [slow(0.3), dripping(0.002)], ids=["slow", "dripping"])
def test_row_13_a_slow_server_slows_nobody_down(fault: Any, server: FaultyServer, track: Track) -> None:
    server.plan = lambda index, path: fault
    tracker = begun(track(server.url, wait=0), "faults")
    command = [sys.executable, "-P", "-W", "ignore", "-m", "weft.telemetry.shipper"]
    shipping = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    assert shipping.stdin is not None
    shipping.stdin.write(json.dumps({"uri": server.url, "idle": 0.2}))
    shipping.stdin.close()
    took = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's server, which is in this process
        for step in range(300):
            begin = time.perf_counter()
            tracker.log([point("loss", step / 7, step, _NOW + step)])
            took.append(time.perf_counter() - begin)
            if step == 150:  # the other half while requests are under way
                while not server.injected:
                    time.sleep(0.001)
        tracker.end(Status.FINISHED)
        assert shipping.wait(120) == 0
    server.reset()
    assert statistics.median(took) < 0.01
    assert found(tracker).is_right


def test_row_13_a_million_points_that_wait_take_no_memory(store: str, trainer: Trainer) -> None:
    source = """
        import psutil
        from weft.telemetry import shipping

        def report(first):
            for start in range(first, first + 10_000, 100):
                tracker.log([Row(step, step, keys, [step / 7] * 100) for step in range(start, start + 100)])
            return psutil.Process().memory_info().rss

        shipping.ensure = lambda spool: None  # the store never answers
        keys = [f"key{number}" for number in range(100)]
        tracker.start(Opening("waiting", "memory"))
        before = report(0)
        print(report(10_000) - before, flush=True)
    """
    told, wrong = trainer(source, store).communicate(timeout=120)
    assert int(told) < 20e6, wrong


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
@pytest.mark.parametrize("first", [0, 5])
def test_row_14_who_is_not_let_in_waits_and_says_so(
    status: str, first: int, server: FaultyServer, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = reported(track, server.url)
    said = []

    def pause(failures: int, forbidden: bool = False) -> float:
        said.append((forbidden, Spool(server.url).said()))
        server.reset()
        return 0.0

    monkeypatch.setattr(shipper, "pause", pause)
    server.plan = lambda index, path: refusing(status) if index >= first else None
    ship(server.url)
    ((forbidden, text),) = said
    assert forbidden
    assert text.startswith("paused until the credentials are right: ")
    assert status[:3] in text
    assert found(tracker).is_right
    assert Spool(server.url).said() == ""


def test_row_15_a_poisoned_point_is_put_aside_and_the_others_arrive(server: FaultyServer, track: Track, client: Client) -> None:
    opening = {"params": {"a": "1", "poison.p": "2"}, "tags": {"poison.t": "3", "b": "4"}}
    tracker = begun(track(server.url, wait=0), "faults", **opening)
    tracker.log([point("poison" if step == 700 else "loss", step / 7, step, _NOW + step) for step in range(1500)])
    tracker.tag({"poison": "1", "fine": "1"})
    tracker.end(Status.FINISHED)
    server.plan = lambda index, path: poisoned('"poison') if path in ("runs/create", "runs/log-batch") else None
    ship(server.url)
    server.reset()
    finding = found(tracker)
    assert (finding.points, finding.missing, finding.doubled) == (1500, 1, 0)
    assert finding.refused == [
        'param poison.p: INVALID_PARAMETER_VALUE: no "poison here',
        'tag poison.t: INVALID_PARAMETER_VALUE: no "poison here',
        'poison = 100.0 at step 700: INVALID_PARAMETER_VALUE: no "poison here',
        'tag poison: INVALID_PARAMETER_VALUE: no "poison here',
    ]
    (run,) = runs_of(client, server.url, tracker)
    assert (run.info.status, run.data.params) == ("FINISHED", {"a": "1"})
    assert (run.data.tags["fine"], run.data.tags["b"]) == ("1", "4")
    assert not finding.is_right


def test_a_server_that_is_no_mlflow_is_told_and_the_journal_stays(
    server: FaultyServer, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = reported(track, server.url)
    before = tracker._pointer.path.read_bytes()
    stopped = threading.Event()
    monkeypatch.setattr(shipper, "pause", lambda failures, forbidden=False: stopped.set() or 0.0)
    for answer in (refusing("404 Not Found"), refusing("200 OK")):
        server.plan = lambda index, path, answer=answer: answer
        stopped.clear()
        shipper.serve(Spool(server.url), stopped)
        assert "can't be reached, or is no MLflow store" in Spool(server.url).said()
    assert tracker._pointer.path.read_bytes() == before
    server.reset()
    ship(server.url)
    assert found(tracker).is_right


def test_a_database_that_is_away_is_told_without_its_password(
    track: Track, tmp_path: Path, unshipped: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    uri = "postgresql+psycopg://weft:hush@127.0.0.1:9/tracking"
    tracker = reported(track, uri)
    stopped = threading.Event()
    monkeypatch.setattr(shipper, "pause", lambda failures, forbidden=False: stopped.set() or 0.0)
    shipper.serve(Spool(uri), stopped)  # MLflow's own way would take minutes
    assert "can't be reached" in Spool(uri).said()
    assert "hush" not in Spool(uri).said()
    assert Spool(uri).is_pending(tracker._pointer)


def test_row_20_a_locked_database_is_waited_for(
    store: str, track: Track, unshipped: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = reported(track, store)
    monkeypatch.setattr(shipper, "pause", lambda failures, forbidden=False: 0.01)
    from weft.telemetry.fast_store import FastStore

    FastStore(f"{store}?timeout=0.1", "mlruns")  # a second connection's patience is its own
    holder = sqlite3.connect(store.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    released = threading.Timer(3.0, lambda: holder.execute("ROLLBACK"))
    released.start()
    begin = time.monotonic()
    ship(store)
    assert time.monotonic() - begin > 2.5
    holder.close()
    assert found(tracker).is_right


def test_a_journal_that_can_not_be_read_now_is_read_later(
    store: str, track: Track, unshipped: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = reported(track, store)
    shipping = shipper.Shipper(Spool(store), Store(store))
    locked = sqlite3.OperationalError("database is locked")
    locked.sqlite_errorcode = sqlite3.SQLITE_BUSY
    monkeypatch.setattr(shipper, "_ENTRIES", 1)
    for _ in range(2):  # before anything of it is known, and behind its first entry
        with mock.patch.object(journal, "read", side_effect=locked):
            assert shipping.turn() is False
        assert shipping.turn()
    while shipping.turn() is not None:
        pass
    shipping.close()
    assert found(tracker).is_right


def test_a_rest_lasts_as_long_as_it_is_to(store: str, unshipped: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipper, "_POLL", 0.001)
    shipping = shipper.Shipper(Spool(store), Store(store))
    begin = time.monotonic()
    shipping.rest(threading.Event(), 0.05, shipping.asked())
    assert 0.05 <= time.monotonic() - begin < 10
    shipping.close()


def test_row_21_a_second_shipper_leaves_the_first_alone(store: str, trainer: Trainer, track: Track, unshipped: None) -> None:
    spool = Spool(store)
    spool.open_progress().close()
    holder = trainer(
        """
        from weft.telemetry.lease import Lease
        lease = Lease(Path(sys.argv[2]))
        print("held", flush=True)
        sys.stdin.readline()
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        store,
        str(spool.lock),
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    tracker = reported(track, store)
    ship(store)
    assert spool.pending() == [tracker._pointer]
    holder.stdin.write("die\n")
    holder.stdin.flush()
    holder.wait()
    ship(store)
    assert found(tracker).is_right


def test_row_22_eight_jobs_start_at_once_on_a_new_store(tmp_path: Path, client: Client, trainer: Trainer) -> None:
    store = f"sqlite:///{tmp_path}/new/mlflow.db"
    source = """
    tracker._wait = 60
    sys.stdin.readline()
    tracker.start(Opening(sys.argv[2], "race"))
    tracker.log([point("x", float(step), step, 1) for step in range(100)])
    tracker.end(Status.FINISHED)
    print(tracker._folder)
    """
    processes = [trainer(source, store, str(number)) for number in range(8)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate() for process in processes]
    assert [(process.returncode, errors) for process, (_, errors) in zip(processes, said, strict=True)] == [(0, "")] * 8
    for folder, _ in said:
        finding = verification.verify(Path(folder.strip()), store)
        assert finding.is_right, finding
    assert len(client(store).search_experiments()) == 2


@pytest.mark.parametrize(("word", "status"), [("", "FAILED"), ("SIGTERM", "KILLED")])
def test_a_run_whose_trainer_is_gone_ends_as_it_did(
    word: str, status: str, store: str, track: Track, client: Client, unshipped: None
) -> None:
    tracker = begun(track(store, wait=0), "gone")
    tracker.log([point("x", 1.0, 3, _NOW)])
    if word:
        tracker._lease.say(word)
    abandon(tracker)
    ship(store)
    (run,) = runs_of(client, store, tracker)
    assert (run.info.status, run.info.end_time) == (status, _NOW)
    assert (f"was ended by {word}" if word else "ended without a word") in run.data.tags["weft.error"]
    assert found(tracker).is_right


def abandon(tracker: JournalTracker) -> None:
    """Let go of a journal, as a process does that dies."""
    tracker._ended.set()
    assert tracker._journal is not None
    tracker._journal.close()
    tracker._lease.release()


def test_an_attempt_waits_for_the_one_before_it_and_repeats_nothing(
    store: str, track: Track, client: Client, unshipped: None, tmp_path: Path
) -> None:
    first = begun(track(store, folder=tmp_path / "run", wait=0), "again", params={"epochs": "2"}, key="k")
    first.log([point("x", step / 3, step, _NOW + step) for step in range(10)])
    first.log([point("y@", 1.0, 9, _NOW), point("y!", 2.0, 9, _NOW)])
    abandon(first)
    second = begun(track(store, folder=tmp_path / "run", wait=0), "again", params={"epochs": "3"}, key="k")
    second.rewind(6)
    second.log([point("x", step / 3 if step != 7 else 0.5, step, _NOW + 100 + step) for step in range(6, 15)])
    second.log([point("y!", 3.0, 10, _NOW), point("y@", 4.0, 10, _NOW), point("system/cpu", 4.0, 10, _NOW)])
    second.end(Status.FINISHED)
    Spool(store).forget(second._pointer)
    ship(store)
    (run,) = runs_of(client, store, first)
    assert run.info.status == "FAILED"
    Spool(store).register(second._pointer)
    ship(store)
    (run,) = runs_of(client, store, first)
    assert run.info.status == "FINISHED"
    assert (run.data.params["epochs"], run.data.tags["weft.changed.epochs"]) == ("2", "3")
    assert run.data.tags["weft.resume_diverged"] == "x at step 7 came out differently"
    reader = client(store)
    steps = [m.step for m in reader.get_metric_history(run.info.run_id, "x")]
    assert sorted(steps) == sorted([*range(15), 7])
    assert (run.data.metrics["y_"], sum(key.startswith("y_") for key in run.data.metrics)) == (4.0, 2)
    assert found(second).is_right


def test_who_dies_before_a_later_attempt_is_repeated_repeats_it(
    store: str, track: Track, client: Client, unshipped: None
) -> None:
    first = begun(track(store, wait=0), "twice", key="two")
    first.tag({"attempt": "1"})
    first.end(Status.KILLED)
    second = begun(track(store, folder=first._folder, wait=0), "twice", key="two")
    second.tag({"attempt": "2"})
    second.end(Status.FINISHED)
    spool = Spool(store)
    spool.forget(first._pointer)
    ship(store)
    spool.register(first._pointer)
    full = mock.patch.object(Spool, "register", side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with full, pytest.raises(OSError, match="No space left"):
        ship(store)
    ship(store)
    (run,) = runs_of(client, store, first)
    assert (run.info.status, run.data.tags["attempt"]) == ("FINISHED", "2")


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("(psycopg.errors.ReadOnlySqlTransaction) cannot execute COPY FROM in a read-only transaction", OutOfReach),
        ("(psycopg2.errors.UndefinedTable) relation metrics does not exist", OutOfReach),
        ("(psycopg.errors.InsufficientPrivilege) permission denied for table metrics", Forbidden),
    ],
)
@pytest.mark.parametrize("uri", ["postgresql+psycopg://weft@h/d", "http://h:5000"])
def test_a_database_that_takes_nothing_for_now_refuses_nothing_for_good(told: str, meant: type[Exception], uri: str) -> None:
    from mlflow.exceptions import MlflowException

    def refuse() -> None:
        raise MlflowException(told)

    with pytest.raises(meant, match="psycopg"):
        Store(uri).ask(refuse)


def test_tables_that_are_being_changed_are_waited_for(postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    refused: list[tuple[str, str]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = Store(postgresql)
        run = store.client.create_run(store.experiment("changed", str(tmp_path)))
    moving = Delivery(store, run, lambda what, why: refused.append((what, why)))
    moving.points([("x", 1.0, 1, _NOW)])
    engine = sqlalchemy.create_engine(postgresql, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("ALTER TABLE metrics RENAME COLUMN is_nan TO renamed"))
        try:
            with pytest.raises(OutOfReach, match="UndefinedColumn"):
                moving.points([("x", 2.0, 2, _NOW)])
        finally:
            connection.execute(sqlalchemy.text("ALTER TABLE metrics RENAME COLUMN renamed TO is_nan"))
    engine.dispose()
    moving.points([("x", 2.0, 2, _NOW)])
    assert refused == []
    assert [metric.step for metric in store.client.get_metric_history(run.info.run_id, "x")] == [1, 2]


@pytest.mark.parametrize(
    "fault",
    [pytest.param(refusing("500 Internal Server Error"), marks=pytest.mark.accept), losing],
    ids=["refused", "lost"],
)
def test_row_35_every_request_fails_once_while_a_run_goes_on(
    fault: Any, server: FaultyServer, track: Track, client: Client, tmp_path: Path
) -> None:
    """A run whose trainer died is in the store; its second attempt repeats some steps, and each request fails in its turn."""
    requests, number = 1, 0
    while number < requests:
        folder, key = tmp_path / str(number), f"{number}-{tmp_path.name}"
        first = begun(track(server.url, folder=folder, wait=0), "goes on", params={"epochs": "2"}, key=key)
        first.log([point("x", step / 3, step, _NOW + step) for step in range(10)])
        abandon(first)
        ship(server.url)
        second = begun(track(server.url, folder=folder, wait=0), "goes on", params={"epochs": "3"}, key=key)
        second.rewind(6)
        second.log([point("x", step / 3, step, _NOW + 100 + step) for step in range(6, 15)])
        second.end(Status.FINISHED)
        server.requests.clear()
        server.plan = lambda index, path, number=number: fault if number <= index < number + 2 else None
        ship(server.url)
        requests = len(server.requests)
        server.reset()
        finding = found(second)
        assert finding.is_right, finding
        assert (finding.points, finding.missing, finding.doubled) == (15, 0, 0)
        (run,) = runs_of(client, server.url, second)
        assert (run.info.status, run.data.tags["weft.changed.epochs"]) == ("FINISHED", "3")
        number += 1
    assert number > 8


def test_who_ships_goes_on_where_another_has_stopped(store: str, track: Track, client: Client, unshipped: None) -> None:
    tracker = reported(track, store)
    spool = Spool(store)
    ship(store)
    run_id = spool.progress_of(tracker._pointer).run_id
    records = spool.open_progress()
    records.save(tracker._pointer.key, 1, progress.Progress(run_id=run_id, cursor=2))
    records.close()
    spool.register(tracker._pointer)
    ship(store)
    assert spool.progress_of(tracker._pointer).run_id == run_id
    assert found(tracker).is_right
    assert len(runs_of(client, store, tracker)) == 1


def test_a_model_that_cannot_be_read_is_refused_and_the_run_goes_on(
    store: str, track: Track, client: Client, unshipped: None, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text("{")
    tracker = begun(track(store, wait=0), "models")
    tracker.model(folder)
    tracker.log([point("x", 1.0, 0, _NOW)])
    tracker.end(Status.FINISHED)
    ship(store)
    (run,) = runs_of(client, store, tracker)
    assert (run.info.status, run.data.metrics, run.data.tags["weft.refused"]) == ("FINISHED", {"x": 1.0}, "the model")
    ((_, item, why),) = Spool(store).dead_letters(tracker._pointer)
    assert item == "the model"
    assert "property name" in why
    assert [line.startswith("the model") for line in found(tracker).refused] == [True]


def test_what_one_who_ships_has_told_another_does_not_forget(store: str, track: Track, client: Client, unshipped: None) -> None:
    """It dies after the last row; the trainer has, too."""
    tracker = begun(track(store, wait=0), "forgets")
    tracker.log([point("first", math.nan, 0, _NOW)])
    ship_until(store, tracker)
    tracker.log([point("second", math.inf, 1, _NOW + 1)])
    ship_until(store, tracker)
    abandon(tracker)
    ship(store)
    (run,) = runs_of(client, store, tracker)
    assert run.data.tags["weft.non_finite"] == "first, second"
    assert (run.info.status, run.info.end_time) == ("FAILED", _NOW + 1)


def ship_until(store: str, tracker: JournalTracker) -> None:
    """Ship what is there of a run under way, by somebody who ends then."""
    spool = Spool(store)
    with mock.patch.object(lease, "held", return_value=True):
        shipping = shipper.Shipper(spool, Store(store))
        while shipping.turn():
            pass
        shipping.close()


@pytest.mark.parametrize("folder", [False, True])
def test_a_disk_of_artifacts_that_is_full_is_waited_for(
    folder: bool, store: str, track: Track, client: Client, unshipped: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = begun(track(store, wait=0), "artifacts")
    place = tmp_path / "kept"
    place.mkdir()
    (place / "notes.txt").write_text("kept")
    tracker.artifact(place if folder else place / "notes.txt", "texts")
    tracker.end(Status.FINISHED)
    full, name = iter([True, True, True]), "copyfile" if folder else "copyfileobj"
    copy = getattr(shutil, name)

    def copies(*given: Any, **options: Any) -> Any:
        if next(full, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        return copy(*given, **options)

    monkeypatch.setattr(shutil, name, copies)
    monkeypatch.setattr(shipper, "pause", lambda failures, forbidden=False: 0.0)
    ship(store)
    assert next(full, None) is None
    assert Spool(store).dead_letters(tracker._pointer) == []
    assert found(tracker).is_right


class TestParked:
    def test_a_run_that_is_deleted_before_it_goes_on(
        self, store: str, track: Track, client: Client, unshipped: None, tmp_path: Path
    ) -> None:
        first = begun(track(store, folder=tmp_path / "run", wait=0), "deleted", key="k")
        abandon(first)
        ship(store)
        run_id = Spool(store).progress_of(first._pointer).run_id
        assert run_id is not None
        client(store).delete_run(run_id)
        second = begun(track(store, folder=tmp_path / "run", wait=0), "deleted", key="k")
        second.log([point("x", 1.0, 0, _NOW)])
        second.end(Status.FINISHED)
        ship(store)
        known = Spool(store).progress_of(second._pointer)
        assert (known.state, known.said.partition(":")[0]) == (
            "parked",
            f"run {run_id} in {store} is deleted".partition(":")[0],
        )
        client(store).restore_run(run_id)
        Spool(store).register(second._pointer)
        ship(store)
        assert Spool(store).progress_of(second._pointer).state == "done"
        assert found(second).is_right

    def test_a_trainer_of_which_it_cannot_be_told_whether_it_lives(
        self, store: str, track: Track, unshipped: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tracker = reported(track, store)
        held = lease.held

        def refused(path: Path) -> bool:
            if path == journal.lock_of(tracker._pointer.path):
                raise PermissionError("not yours")
            return held(path)

        monkeypatch.setattr(lease, "held", refused)
        ship(store)
        known = Spool(store).progress_of(tracker._pointer)
        assert (known.state, known.said) == (
            "parked",
            f"{tracker._pointer.path}: whether its trainer lives can't be told (not yours)",
        )

    def test_a_journal_whose_opening_is_lost(self, store: str, track: Track, unshipped: None) -> None:
        tracker = reported(track, store)
        with sqlite3.connect(tracker._pointer.path) as connection:
            connection.execute("UPDATE entries SET content = '{' WHERE kind = 'open'")
        connection.close()
        ship(store)
        known = Spool(store).progress_of(tracker._pointer)
        assert (known.state, known.run_id) == ("parked", None)
        assert "its opening is lost: it can't be told which run this is" in known.said

    def test_a_journal_of_a_newer_format(self, store: str, track: Track, unshipped: None) -> None:
        tracker = reported(track, store)
        with sqlite3.connect(tracker._pointer.path) as connection:
            connection.execute("PRAGMA user_version = 9")
        connection.close()
        ship(store)
        known = Spool(store).progress_of(tracker._pointer)
        assert known.state == "parked"
        assert "by a newer weft, in format 9" in known.said

    def test_a_file_that_is_none(self, store: str, tmp_path: Path, unshipped: None) -> None:
        for number, content in enumerate([b"text" * 100, None]):
            path = tmp_path / f"{number}.journal"
            if content is not None:
                path.write_bytes(content)
            pointer = Pointer(f"k{number}", 1, path)
            Spool(store).register(pointer)
            ship(store)
            known = Spool(store).progress_of(pointer)
            assert known.state == "parked"
            assert str(path) in known.said
            assert not path.exists() or path.read_bytes() == content

    def test_one_that_was_begun_and_no_more_is_done_with(self, store: str, tmp_path: Path, unshipped: None) -> None:
        path = tmp_path / "1.journal"
        path.touch()
        pointer = Pointer("k", 1, path)
        Spool(store).register(pointer)
        ship(store)
        assert Spool(store).progress_of(pointer).state == "done"

    def test_one_whose_opening_is_lost(self, store: str, tmp_path: Path, unshipped: None) -> None:
        written = journal.Journal(tmp_path / "1.journal", {"key": "k", "attempt": 1})
        written.append([point("x", 1.0, 0, _NOW)])
        written.close()
        pointer = Pointer("k", 1, tmp_path / "1.journal")
        Spool(store).register(pointer)
        ship(store)
        assert "its opening is lost" in Spool(store).progress_of(pointer).said

    def test_an_entry_of_an_unknown_kind_is_put_aside(self, store: str, track: Track, unshipped: None, client: Client) -> None:
        tracker = begun(track(store, wait=0), "kinds")
        tracker._take([journal.Event("dance", {"a": 1})])
        tracker.end(Status.FINISHED)
        ship(store)
        ((_, what, why),) = Spool(store).dead_letters(tracker._pointer)
        assert (what, why) == ("entry of kind 'dance'", "this weft doesn't know it")


def test_one_run_s_trouble_does_not_keep_the_others_back(server: FaultyServer, track: Track) -> None:
    bad, good = reported(track, server.url), reported(track, server.url)
    key = bad._pointer.key
    server.plan = lambda index, path: poisoned_storm(key) if path == "runs/search" else None
    stopped = threading.Event()
    threading.Timer(5.0, stopped.set).start()
    spool = Spool(server.url)
    thread = threading.Thread(target=shipper.serve, args=(spool, stopped))
    thread.start()
    while spool.is_pending(good._pointer):
        assert thread.is_alive()
        time.sleep(0.01)
    assert spool.is_pending(bad._pointer)
    stopped.set()
    thread.join()
    server.reset()
    ship(server.url)
    assert found(bad).is_right
    assert found(good).is_right


def poisoned_storm(word: str) -> Any:
    def fault(server: FaultyServer, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        asked = poisoned(word)(server, environ, lambda status, headers: statuses.append((status, headers)))
        statuses_now = statuses[-1]
        start_response(*(("500 no", statuses_now[1]) if statuses_now[0].startswith("400") else statuses_now))
        return asked

    statuses: list[Any] = []
    return fault


def test_a_spool_that_is_taken_away_ends_who_ships(store: str, unshipped: None, track: Track) -> None:
    spool = Spool(store)
    tracker = begun(track(store, wait=0), "gone")
    thread = threading.Thread(target=shipper.serve, args=(spool, threading.Event(), 600.0))
    spool.forget(tracker._pointer)
    thread.start()
    while not progress._ask(spool.folder / "progress.db", "SELECT id FROM state"):
        time.sleep(0.01)
    shutil.rmtree(spool.folder)
    thread.join(30)
    assert not thread.is_alive()


def test_progress_that_is_damaged_is_begun_anew_and_nothing_is_doubled(store: str, track: Track, unshipped: None) -> None:
    tracker = reported(track, store)
    ship(store)
    file = Spool(store).folder / "progress.db"
    for content in (b"text" * 1000, b"SQLite format 3\0" + os.urandom(8000)):
        for end in ("-wal", "-shm"):
            file.with_name(f"progress.db{end}").unlink(missing_ok=True)
        file.write_bytes(content)
        assert Spool(store).progress_of(tracker._pointer).cursor == 0
        Spool(store).register(tracker._pointer)
        ship(store)
        assert found(tracker).is_right


_CRASHES = """
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from weft.telemetry import shipper
from weft.telemetry.client import Forbidden, OutOfReach, Store
from weft.telemetry.delivery import Delivery
from weft.telemetry.progress import ProgressFile
from weft.telemetry.spool import Spool
from weft.telemetry.store import prepare
prepare()
import weft.telemetry.fast_store


def crash_at(number):
    left = [number]

    def counted(method):
        def call(self, *arguments):
            for act in (lambda: None, lambda: method(self, *arguments)):
                answer = act()
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return answer
        return call

    Store.ask = counted(Store.ask)
    ProgressFile.save = counted(ProgressFile.save)


for line in sys.stdin:
    uri, number = line.split()
    child = os.fork()
    if child == 0:
        crash_at(int(number))
        shipper.serve(Spool(uri), threading.Event(), 0.0)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_row_4_a_shipper_that_dies_between_any_two_of_its_steps(
    store: str, track: Track, client: Client, trainer: Trainer, unshipped: None
) -> None:
    """Before and after everything it asks of the store, and before and after it keeps how far it has come."""
    process = trainer(_CRASHES, store)
    assert process.stdin is not None
    assert process.stdout is not None
    trackers, code, number = [], -9, 0
    while code != 0:
        number += 1
        trackers.append(reported(track, store))
        codes = []
        while not codes or codes[-1] != 0:
            process.stdin.write(f"{store} {number if not codes else 0}\n")
            process.stdin.flush()
            codes.append(int(process.stdout.readline()))
        assert set(codes) <= {0, -9}
        code = codes[0]
    assert number > 30
    for tracker in trackers:
        finding = found(tracker)
        assert finding.is_right, finding
        assert len(runs_of(client, store, tracker)) == 1


def test_who_ships_holds_the_spool(store: str) -> None:
    spool = Spool(store)
    spool.open_progress().close()
    hold = lease.Lease(spool.lock)
    assert hold.stands()
    spool.lock.unlink()
    assert not hold.stands()
    hold.release()


class TestDamaged:
    def reported(self, track: Track, store: str, end: bool = True) -> JournalTracker:
        tracker = begun(track(store, wait=0), "damaged")
        keys = [f"key{number}" for number in range(100)]
        tracker.log([Row(step, _NOW + step, keys, [step + number / 100 for number in range(100)]) for step in range(500)])
        if end:
            tracker.end(Status.FINISHED)
        else:
            abandon(tracker)
        return tracker

    @pytest.mark.parametrize("page", [8, 60, -1])
    def test_what_can_be_read_arrives_and_the_rest_is_named(
        self, page: int, store: str, track: Track, unshipped: None, client: Client
    ) -> None:
        tracker = self.reported(track, store, end=page != -1)
        path = tracker._pointer.path
        with path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(4096 * page if page > 0 else size - 4096)
            file.write(b"\xff" * 4096)
        before = path.read_bytes()
        ship(store)
        known = Spool(store).progress_of(tracker._pointer)
        assert known.state == "done"
        assert "damaged from entry " in known.said
        assert path.read_bytes() == before, "the file stays, as evidence"
        (run,) = runs_of(client, store, tracker)
        assert run.info.status == ("FAILED" if page == -1 else "FINISHED")
        assert run.data.tags["weft.damaged"] == known.said
        finding = found(tracker)
        assert (finding.missing, finding.doubled) == (0, 0)
        assert finding.points > 45_000
        assert any("is damaged from entry" in problem for problem in finding.problems)

    def test_keys_that_are_lost_and_events_that_were_changed(
        self, store: str, track: Track, unshipped: None, client: Client
    ) -> None:
        tracker = begun(track(store, wait=0), "damaged")
        tracker.log([point("x", 1.0, 1, _NOW), point("y", 2.0, 2, _NOW)])
        tracker.tag({"a": "1"})
        tracker.end(Status.FINISHED)
        with sqlite3.connect(tracker._pointer.path) as connection:
            connection.execute("DELETE FROM series WHERE id = 2")
            connection.execute("UPDATE entries SET content = '{' WHERE kind = 'tags'")
        connection.close()
        ship(store)
        (run,) = runs_of(client, store, tracker)
        assert (run.info.status, run.data.metrics) == ("FINISHED", {"x": 1.0})
        said = Spool(store).progress_of(tracker._pointer).said
        assert "damaged the keys of 1 rows from entry 4 on" in said
        assert "damaged from entry 5 to 5 (entry 5 is not what was written)" in said
        assert not found(tracker).is_right

    def test_a_store_that_is_away_when_it_is_told_of_damage_is_told_again(
        self, store: str, track: Track, unshipped: None, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tracker = self.reported(track, store)
        with sqlite3.connect(tracker._pointer.path) as connection:
            connection.execute("DELETE FROM entries WHERE seq = 7")
        connection.close()
        tags, failures = Delivery.tags, iter([True])

        def failing(self: Delivery, given: Any) -> None:
            if "weft.damaged" in given and next(failures, False):
                raise OutOfReach("away")
            tags(self, given)

        monkeypatch.setattr(Delivery, "tags", failing)
        monkeypatch.setattr(shipper, "pause", lambda failures, forbidden=False: 0.0)
        ship(store)
        (run,) = runs_of(client, store, tracker)
        said = Spool(store).progress_of(tracker._pointer).said
        assert said.startswith("damaged from entry 7 to 7")
        assert run.data.tags["weft.damaged"] == said

    def test_one_that_is_written_still_is_waited_for(
        self, store: str, track: Track, unshipped: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tracker = self.reported(track, store)
        monkeypatch.setattr(lease, "held", lambda path: path != Spool(store).lock)
        monkeypatch.setattr(journal, "header", lambda path: {})
        monkeypatch.setattr(journal, "read", lambda *_: ([], journal.Damage(1, None, "malformed")))
        spool = Spool(store)
        shipper_ = shipper.Shipper(spool, Store(store))
        assert shipper_.turn() is False
        assert spool.progress_of(tracker._pointer).said == ""
        shipper_.close()

    def test_an_error_of_weft_s_own_parks_one_journal_and_no_other(
        self, store: str, track: Track, unshipped: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        bad, good = reported(track, store), reported(track, store)
        begin = delivery.begin

        def fails(store: Any, opening: Any, refuse: Any) -> Any:
            if opening["key"] == bad._pointer.key:
                raise RuntimeError("ours")
            return begin(store, opening, refuse)

        monkeypatch.setattr(delivery, "begin", fails)
        ship(store)
        assert Spool(store).progress_of(bad._pointer).said == f"{bad._pointer.path}: RuntimeError: ours"
        assert "Traceback" in caplog.text
        assert found(good).is_right


class TestTheProcess:
    """What runs in a process of its own, here: there nobody counts its lines."""

    @pytest.fixture
    def told(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Any]]:
        monkeypatch.setattr("signal.signal", lambda number, handler: handlers.update({number: handler}))
        handlers: dict[int, Any] = {}
        served: list[Any] = []

        def tell(text: str) -> list[Any]:
            monkeypatch.setattr("sys.stdin", io.StringIO(text))
            monkeypatch.setattr(shipper, "serve", lambda spool, stopped, idle: served.append((spool.uri, stopped, idle)))
            monkeypatch.setattr("os.dup2", lambda *_: None)
            monkeypatch.setattr("logging.basicConfig", lambda **_: None)
            shipper._main()
            if served:
                handlers[signal.SIGTERM]()
            return served

        return tell

    def test_it_is_told_a_store_and_stops_politely(self, told: Any, store: str) -> None:
        Spool(store).open_progress().close()
        Spool(store).log.write_bytes(b"x" * 2_000_000)
        ((uri, stopped, idle),) = told(json.dumps({"uri": store}))
        assert (uri, idle) == (store, shipper._IDLE)
        assert stopped.is_set()
        assert Spool(store).log.stat().st_size == 0, "a long log is begun anew"

    def test_a_warm_one_that_is_told_nothing_ends(self, told: Any) -> None:
        assert told("") == []

    def test_a_log_is_gone_on_with(self, told: Any, store: str) -> None:
        Spool(store).open_progress().close()
        told(json.dumps({"uri": store}))
        Spool(store).log.write_text("before")
        told(json.dumps({"uri": store}))
        assert Spool(store).log.read_text() == "before"


def test_who_ships_already_is_left_alone(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(path: Path, patience: float = 0.0) -> None:
        raise BlockingIOError

    monkeypatch.setattr(lease, "Lease", held)
    shipper.serve(Spool(store), threading.Event())


def test_one_that_is_stopped_ships_no_more(store: str, track: Track, unshipped: None) -> None:
    tracker = reported(track, store)
    stopped = threading.Event()
    stopped.set()
    shipper.serve(Spool(store), stopped)
    assert Spool(store).pending() == [tracker._pointer]


def test_a_journal_that_comes_while_the_lock_is_let_go_is_shipped(
    store: str, track: Track, unshipped: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Spool(store).open_progress().close()
    late: list[JournalTracker] = []
    release = lease.Lease.release

    def releasing(self: lease.Lease) -> None:
        release(self)
        if self.path == Spool(store).lock and not late:
            late.append(track(store, wait=0))
            reported_by = begun(late[0], "late")
            reported_by.end(Status.FINISHED)

    monkeypatch.setattr(lease.Lease, "release", releasing)
    ship(store)
    assert found(late[0]).is_right


def test_who_pauses_tries_again_when_somebody_asks(server: FaultyServer, track: Track, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = reported(track, server.url)
    server.plan = lambda number, path: _UNAVAILABLE
    monkeypatch.setattr(shipper, "pause", lambda failures, forbidden=False: 600.0)
    thread = threading.Thread(target=shipper.serve, args=(Spool(server.url), threading.Event(), 0.0))
    thread.start()
    while not progress.said(Spool(server.url).folder / "progress.db"):
        time.sleep(0.01)
    server.reset()
    Spool(server.url).register(tracker._pointer)
    thread.join(60)
    assert not thread.is_alive()
    assert found(tracker).is_right


@pytest.mark.parametrize("rows", [0, 3])
def test_a_run_whose_journal_is_gone_does_not_stay_running(
    rows: int, store: str, track: Track, client: Client, unshipped: None
) -> None:
    tracker = begun(track(store, wait=0), "gone")
    shipping = shipper.Shipper(Spool(store), Store(store))
    with mock.patch.object(lease, "held", return_value=True):
        tracker.log([point("x", 1.0, step, _NOW) for step in range(rows)])
        assert shipping.turn()
        assert not shipping.turn()
    shutil.rmtree(tracker._folder)
    assert shipping.turn()
    assert shipping.turn() is None
    shipping.close()
    (run,) = runs_of(client, store, tracker)
    assert (run.info.status, run.data.tags["weft.error"]) == ("FAILED", "its journal is gone")


def test_an_error_of_an_attempt_is_not_that_of_the_next(store: str, track: Track, client: Client, unshipped: None) -> None:
    first = begun(track(store, wait=0), "again", key="again")
    first.tag({"weft.error": "the process that trained ended without a word"})
    first.end(Status.FAILED)
    begun(track(store, folder=first._folder, wait=0), "again", key="again").end(Status.FINISHED)
    ship(store)
    (run,) = runs_of(client, store, first)
    assert run.info.status == "FINISHED"
    assert "weft.error" not in run.data.tags


def test_a_trainer_of_which_it_cannot_be_told_now_is_asked_later(store: str, track: Track, unshipped: None) -> None:
    tracker = reported(track, store)
    shipping = shipper.Shipper(Spool(store), Store(store))
    with mock.patch.object(lease, "held", side_effect=OSError(errno.EMFILE, "Too many open files")):
        assert shipping.turn() is False
    while shipping.turn() is not None:
        pass
    shipping.close()
    assert found(tracker).is_right


def test_a_store_that_was_lost_gets_all_of_it_again(store: str, template: Path, track: Track, unshipped: None) -> None:
    tracker = reported(track, store)
    ship(store)
    shutil.copy(template, store.removeprefix("sqlite:///"))
    Spool(store).register(tracker._pointer)
    ship(store)
    assert found(tracker).is_right
