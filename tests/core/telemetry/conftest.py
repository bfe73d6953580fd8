"""MLflow stores, each a copy of one whose tables were made once, and trainers that end in other processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.telemetry import lease, shipping
from weft.telemetry import store as stores
from weft.telemetry.recording import JournalTracker
from weft.telemetry.spool import Spool
from weft.telemetry.tracker import Opening, Row

if TYPE_CHECKING:
    from mlflow import MlflowClient

Client = Callable[[str], "MlflowClient"]
Trainer = Callable[..., "subprocess.Popen[str]"]
Track = Callable[..., JournalTracker]


@pytest.fixture
def store(tmp_path: Path, template: Path) -> Iterator[str]:
    """A store of this test's own."""
    path = tmp_path / "mlflow.db"
    shutil.copy(template, path)
    uri = f"sqlite:///{path}"
    yield uri
    stop_shipper(uri)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[str]:
    """A store that tests share."""
    path = tmp_path_factory.mktemp("shared") / "mlflow.db"
    shutil.copy(template, path)
    yield f"sqlite:///{path}"
    stop_shipper(f"sqlite:///{path}")


@pytest.fixture(scope="session")
def client() -> Client:
    """Open a store to read it back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's imports
        stores.prepare()
        from mlflow import MlflowClient
    return lambda uri: MlflowClient(tracking_uri=uri)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A server of PostgreSQL, reached by a socket."""
    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        pytest.skip("PostgreSQL's server binaries are not installed")
    account: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="weft-pg-", dir="/tmp"))  # a socket's path has room for 100 letters
    if account:
        shutil.chown(folder, "postgres", "postgres")

    def call(*command: str) -> None:
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, **account)

    data = str(folder / "data")
    call("initdb", "-D", data, "-A", "trust", "-U", "weft", "--no-sync")
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    call("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    yield f"postgresql+psycopg://weft@/postgres?host={folder}"
    call("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def unshipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trackers of this process start nobody who ships: `ship` does it, here and now."""
    monkeypatch.setattr(shipping, "ensure", lambda spool: None)


@pytest.fixture
def track(tmp_path: Path) -> Iterator[Track]:
    """Make trackers, each with a folder of its own: `track(uri)`, or `track(uri, folder=…)`."""
    made: list[JournalTracker] = []

    def make(uri: str, artifact_root: Path | None = None, folder: Path | None = None, **options: Any) -> JournalTracker:
        options.setdefault("wait", 60.0)
        made.append(JournalTracker(folder or tmp_path / "folders" / str(len(made)), uri, artifact_root, **options))
        return made[-1]

    yield make
    for tracker in made:
        if tracker._journal is not None and not tracker._ended.is_set():
            tracker._ended.set()
            tracker._journal.close()
            tracker._lease.release()


def begun(tracker: JournalTracker, experiment: str, **opening: Any) -> JournalTracker:
    """Start a tracker's run."""
    tracker.start(Opening(opening.pop("name", "x"), experiment, **opening))
    return tracker


def ship(uri: str, idle: float = 0.0) -> None:
    """Ship all that is in a store's spool, in this process. No run of this process may be under way."""
    from weft.telemetry import shipper

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shipper.serve(Spool(uri), threading.Event(), idle)


def shipper_of(uri: str) -> int | None:
    """Return the process that ships to a store, as far as this process has started it."""
    known = shipping._started.get(Spool(uri).uri)
    return None if known is None or known.process.poll() is not None else known.process.pid


def stop_shipper(uri: str) -> None:
    """End whoever ships to a store."""
    spool = Spool(uri)
    for started in [shipping._started.pop(spool.uri)] if spool.uri in shipping._started else []:
        started.process.terminate()
        started.process.wait(30)
        started.output.close()
    for process in _holders(spool.lock):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _holders(lock: Path) -> list[int]:
    """Return the processes that hold a lease, by the kernel's list of locks."""
    if not lock.exists() or not lease.held(lock):
        return []
    inode = lock.stat().st_ino
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return [int(line[4]) for line in lines if line[1] != "->" and line[5].endswith(f":{inode}") and int(line[4]) > 0]


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Trainer]:
    """Start a process that trains: `trainer(source, store, *arguments)`. It has `tracker`, `point` and all that they take."""
    head = """
        import itertools, os, signal, sys
        from pathlib import Path
        from weft.telemetry.recording import JournalTracker
        from weft.telemetry.tracker import Opening, Row, Status
        numbers = itertools.count()
        point = lambda key, value, step, at: Row(step, at, [key], [value])
        place = Path(sys.argv[1].removeprefix("sqlite:///")).parent
        new = lambda: JournalTracker(place / "trained" / f"{os.getpid()}.{next(numbers)}", sys.argv[1], place / "artifacts")
        tracker = new()
    """
    started: list[subprocess.Popen[str]] = []

    def start(source: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(source), *arguments]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def point(key: str, value: float, step: int, at: int) -> Row:
    """Return a row of one value."""
    return Row(step, at, [key], [value])


def await_end(client: MlflowClient, run_id: str) -> Any:
    """Return a run when it is no longer RUNNING."""
    deadline = time.monotonic() + 60
    while (run := client.get_run(run_id)).info.status == "RUNNING":
        assert time.monotonic() < deadline, "the run stayed RUNNING"
        time.sleep(0.05)
    return run
