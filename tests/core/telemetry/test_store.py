"""Reading runs back, and MLflow's page."""

from __future__ import annotations

import contextlib
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from tests.core.telemetry.conftest import Client, Track, point, stop_shipper
from weft.errors import ConfigError, UserError
from weft.telemetry import new_store
from weft.telemetry import store as stores
from weft.telemetry.serving import serve
from weft.telemetry.tracker import Opening, Status

Serving = Callable[[str, int], "subprocess.Popen[str]"]


@pytest.mark.integration
def test_download_gives_a_folder_of_a_run(shared_store: str, client: Client, tmp_path: Path, track: Track) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"\0\1")
    tracker = track(shared_store, tmp_path / "artifacts")
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
    store: str, client: Client, serving: Serving, tmp_path: Path, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    port = _free_port()
    process = serving(store, port)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url == f"http://127.0.0.1:{port}"

    file = tmp_path / "notes.txt"
    file.write_text("over http")
    tracker = track(url, tmp_path / "unused")
    tracker.start(Opening("x", "served", params={"lr": "0.1", "long": "w" * 7000}))
    tracker.log(
        [point("loss", value, step, 1_000 + step) for step, value in enumerate([0.1 + 0.2, float("nan"), float("inf")])]
    )
    tracker.log([point("many", float(step), step, 1_000 + step) for step in range(2500)])
    tracker.artifact(file)
    tracker.end(Status.FINISHED)
    reader = client(url)
    run = reader.get_run(tracker.run_id)
    assert (run.info.status, run.data.params["lr"]) == ("FINISHED", "0.1")
    assert [m.step for m in reader.get_metric_history(tracker.run_id, "many")] == list(range(2500))
    assert len(reader.get_metric_history(tracker.run_id, "loss")) == 3
    assert stores.download(tracker.run_id, url, "notes.txt", tmp_path / "copy").read_text() == "over http"
    made = {path.name for path in tmp_path.iterdir()} - {"mlflow.db.lock"}
    assert made == {"mlflow.db", "artifacts", "notes.txt", "copy", "folders", "state"}
    assert stores.page(url, "served").startswith(f"#/experiments/{run.info.experiment_id}/")
    stop_shipper(url)

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


_REQUEST = "API request to http://h:9/api/2.0/mlflow/experiments/search failed with exception "
_POOL = "HTTPConnectionPool(host='h', port=9): Max retries exceeded with url: /api/2.0/mlflow/experiments/search "


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            f"{_REQUEST}{_POOL}(Caused by NewConnectionError(\"HTTPConnection(host='h', port=9): "
            'Failed to establish a new connection: [Errno 111] Connection refused"))',
            "Failed to establish a new connection: [Errno 111] Connection refused",
        ),
        (
            f"{_REQUEST}{_POOL}(Caused by ReadTimeoutError(\"HTTPConnectionPool(host='h', port=9): "
            'Read timed out. (read timeout=1)"))',
            "Read timed out. (read timeout=1)",
        ),
        (
            f"{_REQUEST}{_POOL}(Caused by ProtocolError('Connection aborted.', ConnectionResetError(104, 'reset')))",
            "ProtocolError('Connection aborted.', ConnectionResetError(104, 'reset'))",
        ),
        (
            "failed with error code 404 != 200. Response body: '<!DOCTYPE HTML>\n<html lang=\"en\">\n</html>'",
            "failed with error code 404 != 200.",
        ),
        (
            "failed with error code 500 != 200. Response body: 'full'",
            "failed with error code 500 != 200. Response body: 'full'",
        ),
        ("(sqlite3.OperationalError) database is locked\n[SQL: INSERT …]", "(sqlite3.OperationalError) database is locked"),
        ("", "ValueError"),
    ],
)
def test_an_error_is_told_in_one_line_that_says_what_it_was(error: str, line: str) -> None:
    assert stores.in_one_line(ValueError(error)) == line


@pytest.mark.integration
def test_a_new_store_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes it may be killed between any two of the steps by which MLflow makes its tables."""
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for steps in (1, 20):
        program = (
            "import os, sys, sqlalchemy as sa; from weft.telemetry import store\n"
            "left = int(sys.argv[2])\n"
            "@sa.event.listens_for(sa.Engine, 'before_cursor_execute')\n"
            "def die(connection, cursor, statement, *rest):\n"
            "    global left\n"
            "    left -= 'CREATE TABLE' in statement or 'ALTER TABLE' in statement\n"
            "    if left < 0: os.kill(os.getpid(), 9)\n"
            "store.opened(sys.argv[1])"
        )
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", program, uri, str(steps)], check=False)
        assert done.returncode == -9
        assert not (tmp_path / "mlflow.db").exists()
    assert [one.name for one in stores.opened(uri).search_experiments()] == ["Default"]


@pytest.mark.integration
@pytest.mark.parametrize("damage", ["", "no tables", "no version", "cut in half"])
def test_a_second_new_store_is_a_copy_of_what_the_first_one_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    first = stores.opened(f"sqlite:///{tmp_path}/first/mlflow.db")
    first.create_experiment("only in the first")
    (kept,) = (tmp_path / "cache" / "stores").iterdir()
    if damage == "no version":
        with contextlib.closing(sqlite3.connect(kept, isolation_level=None)) as connection:
            connection.execute("DELETE FROM alembic_version")
    elif damage:
        kept.write_bytes(b"" if damage == "no tables" else kept.read_bytes()[: kept.stat().st_size // 2])
    migrated = mock.Mock(side_effect=new_store._migrate)
    monkeypatch.setattr(new_store, "_migrate", migrated)
    second = stores.opened(f"sqlite:///{tmp_path}/second/mlflow.db")
    assert [(one.name, one.artifact_location) for one in second.search_experiments()] == [
        (one.name, one.artifact_location) for one in first.search_experiments() if one.name == "Default"
    ]
    assert tables(tmp_path / "second" / "mlflow.db") == tables(tmp_path / "first" / "mlflow.db")
    assert migrated.called == bool(damage)


def tables(database: Path) -> list[tuple[str, ...]]:
    """Return the columns of all tables; their constraints come out of MLflow's migrations in another order each time."""
    columns = (
        "SELECT made.name, given.name, given.type, given.pk FROM sqlite_master made JOIN pragma_table_info(made.name) given"
        " ORDER BY 1, 2"
    )
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(columns).fetchall()
