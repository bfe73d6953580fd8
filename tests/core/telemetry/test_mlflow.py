"""Reading runs back, MLflow's page, and a store that is out of reach for a while."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.core.telemetry.conftest import Client, point
from weft.errors import ConfigError, TrackingError, UserError
from weft.telemetry import mlflow, writer
from weft.telemetry import store as stores
from weft.telemetry.serving import serve
from weft.telemetry.tracker import Opening, Status
from weft.telemetry.writer import MlflowTracker

Serving = Callable[[str, int], "subprocess.Popen[str]"]


@pytest.mark.integration
def test_download_gives_a_folder_of_a_run(shared_store: str, client: Client, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"\0\1")
    tracker = MlflowTracker(shared_store, tmp_path / "artifacts")
    tracker.start(Opening("x", "download"))
    tracker.artifact(tmp_path / "model", "model")
    tracker.end(Status.FINISHED)
    found = stores.download(tracker.run_id, shared_store, "model", tmp_path / "copy")
    assert found == tmp_path / "copy" / "model"
    assert (found / "weights.bin").read_bytes() == b"\0\1"
    with pytest.raises(ConfigError, match=f"run {tracker.run_id} in sqlite.*: has no 'other'"):
        stores.download(tracker.run_id, shared_store, "other", tmp_path / "copy")
    with pytest.raises(ConfigError, match="sqlite.*mlflow.db: has no run 'nobody'"):
        stores.download("nobody", shared_store, "model", tmp_path / "copy")


@pytest.mark.integration
def test_page_finds_an_experiment_by_name(store: str, client: Client) -> None:
    made = client(store).create_experiment("looked for")
    assert stores.page(store, "looked for") == (
        f"#/experiments/{made}/runs?workflowType=machine_learning&compareRunsMode=CHART"
    )
    with pytest.raises(ConfigError, match="has no experiment 'another'"):
        stores.page(store, "another")


def test_reading_makes_no_store(tmp_path: Path) -> None:
    for read in (lambda uri: stores.download("x", uri, "model", tmp_path), lambda uri: stores.page(uri, "x")):
        with pytest.raises(ConfigError, match="there is no such file"):
            read(f"sqlite:///{tmp_path}/mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_options_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert stores.absolute_uri("sqlite:///runs/x.db?timeout=3") == f"sqlite:///{tmp_path}/runs/x.db?timeout=3"
    assert stores.absolute_uri("sqlite+pysqlite:////a/x.db") == "sqlite+pysqlite:////a/x.db"
    assert stores.absolute_uri("http://host:1/sqlite:///x") == "http://host:1/sqlite:///x"


def test_a_port_that_is_taken_is_told_before_anything_starts(store_file: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} of 127.0.0.1 can't be used"):
            serve(store_file, "127.0.0.1", port)


def test_the_page_is_for_this_machine_alone(store_file: str) -> None:
    with pytest.raises(UserError, match="'0.0.0.0' is open to others"):
        serve(store_file, "0.0.0.0", 5000)


def test_a_server_needs_no_page() -> None:
    with pytest.raises(ConfigError, match="page of its own"):
        serve("https://host.example", "127.0.0.1", 5000)


@pytest.fixture
def store_file(tmp_path: Path) -> str:
    """A store that nobody opens."""
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def serving() -> Iterator[Serving]:
    """Run `serve` in a process of its own."""
    source = "import sys; from weft.telemetry.serving import serve; serve(sys.argv[1], '127.0.0.1', int(sys.argv[2]), ready)"
    source = "ready = lambda url: print(url, flush=True)\n" + source
    started: list[subprocess.Popen[str]] = []

    def start(uri: str, port: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", source, uri, str(port)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate()


@pytest.mark.integration
def test_a_server_shows_a_store_takes_runs_and_leaves_nothing_behind(
    store: str, client: Client, serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    port = _free_port()
    process = serving(store, port)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url == f"http://127.0.0.1:{port}"

    file = tmp_path / "notes.txt"
    file.write_text("over http")
    tracker = MlflowTracker(url, tmp_path / "unused")
    tracker.start(Opening("x", "served", params={"lr": "0.1", "long": "w" * 7000}))
    tracker.log(
        [point("loss", value, step, 1_000 + step) for step, value in enumerate([0.1 + 0.2, float("nan"), float("inf")])]
    )
    tracker.log([point("loss", 1.0, 2**63, 1_000)])
    tracker.log([point("many", float(step), step, 1_000 + step) for step in range(2500)])
    tracker.artifact(file)
    with pytest.raises(TrackingError, match=f"refused of this run: loss = 1.0 at step {2**63}"):
        tracker.end(Status.FINISHED)
    reader = client(url)
    run = reader.get_run(tracker.run_id)
    assert (run.info.status, run.data.params["lr"]) == ("FINISHED", "0.1")
    assert [m.step for m in reader.get_metric_history(tracker.run_id, "many")] == list(range(2500))
    assert len(reader.get_metric_history(tracker.run_id, "loss")) == 3
    assert stores.download(tracker.run_id, url, "notes.txt", tmp_path / "copy").read_text() == "over http"
    made = {path.name for path in tmp_path.iterdir()} - {"mlflow.db.lock"}
    assert made == {"mlflow.db", "artifacts", "notes.txt", "copy"}
    assert stores.page(url, "served").startswith(f"#/experiments/{run.info.experiment_id}/")
    missing = MlflowTracker(url)
    missing.start(Opening("x", "served", run_id="0" * 32))
    with pytest.raises(TrackingError, match="has no run '0000"):
        missing.end(Status.FINISHED)
    writer._processes.pop(url).close()

    workers = _descendants(process.pid)
    assert workers
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert [pid for pid in workers if _is_alive(pid)] == []
    _free_port(port)


@pytest.mark.integration
def test_a_server_that_is_told_to_stop_while_it_starts_leaves_nothing_behind(store: str, serving: Serving) -> None:
    process = serving(store, _free_port())
    while not (workers := _descendants(process.pid)):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)
    assert (process.returncode, *said) == (0, "", "")
    assert [pid for pid in workers if _is_alive(pid)] == []


def test_points_wait_for_a_store_that_is_out_of_reach(client: Client) -> None:
    from mlflow.exceptions import MlflowException

    stored: list[float] = []
    reachable = False

    def write(_: str, points: Sequence[tuple[str, float, int, int]]) -> None:
        if not reachable:
            raise MlflowException("connection refused")
        stored.extend(value for _, value, _, _ in points)

    recorded = mlflow._Recorded(_fake_store(write), "run")
    for start in range(0, 3000, 500):
        recorded.add(iter([("x", float(step), step, 0) for step in range(start, start + 500)]))
    recorded.flush()
    assert stored == []
    reachable = True
    assert recorded.end("FINISHED", 0) == []
    assert stored == [float(step) for step in range(3000)]


def test_what_a_store_out_of_reach_never_took_is_counted(client: Client) -> None:
    from mlflow.exceptions import MlflowException

    def refuse(*_: Any, **__: Any) -> None:
        raise MlflowException("connection refused")

    recorded = mlflow._Recorded(_fake_store(refuse), "run")
    recorded.add(iter([("x", float(step), step, 0) for step in range(1500)]))
    assert recorded.end("FINISHED", 0) == ["1500 points, from x on: out of reach", "tags: connection refused"]


def test_a_locked_database_is_asked_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    answers: list[object] = [MlflowException("database is locked", TEMPORARILY_UNAVAILABLE)] * 2

    def call() -> str:
        if answers:
            raise answers.pop()  # type: ignore[misc]
        return "stored"

    assert mlflow._patiently(call) == "stored"
    assert pauses == [1, 2]


def _fake_store(write: Callable[..., None]) -> Any:
    client = SimpleNamespace(log_batch=write, set_terminated=lambda *_: None)
    return SimpleNamespace(client=client, is_server=True, points=(1000, write))


def _free_port(port: int = 0) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        free: int = probe.getsockname()[1]
        return free


def _descendants(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [found for child in map(int, listed) for found in (child, *_descendants(child))]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
