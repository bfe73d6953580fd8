"""MLflow stores, each a copy of one whose tables were made once, and trainers that end in other processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.telemetry import store as stores
from weft.telemetry import writer
from weft.telemetry.tracker import Row

if TYPE_CHECKING:
    from mlflow import MlflowClient

Client = Callable[[str], "MlflowClient"]
Trainer = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def store(tmp_path: Path, template: Path) -> Iterator[str]:
    """A store of this test's own. The process that writes to it ends with the test."""
    path = tmp_path / "mlflow.db"
    shutil.copy(template, path)
    uri = f"sqlite:///{path}"
    yield uri
    if uri in writer._processes:
        writer._processes.pop(uri).close()


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory, template: Path) -> str:
    """A store that tests share, and the process that writes to it."""
    path = tmp_path_factory.mktemp("shared") / "mlflow.db"
    shutil.copy(template, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def client() -> Client:
    """Open a store to read it back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's imports
        stores.prepare()
        from mlflow import MlflowClient
    return lambda uri: MlflowClient(tracking_uri=uri)


@pytest.fixture
def trainer() -> Iterator[Trainer]:
    """Start a process that trains: `trainer(source, *arguments)`. It has `tracker`, `point` and all that they take."""
    head = """
        import os, signal, sys
        from pathlib import Path
        from weft.telemetry.tracker import Opening, Row, Status
        from weft.telemetry.writer import MlflowTracker
        point = lambda key, value, step, at: Row(step, at, [key], [value])
        tracker = MlflowTracker(sys.argv[1], Path(sys.argv[1].removeprefix("sqlite:///")).parent / "artifacts")
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
