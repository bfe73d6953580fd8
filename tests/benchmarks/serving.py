"""Points a second through a server, from one client that sends a thousand at a time: MLflow's own, and `weft serve`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SERVERS = {
    "mlflow server": ["mlflow", "server", "--backend-store-uri", "{uri}", "--artifacts-destination", "{files}"],
    "weft serve": ["weft.cli", "serve", "--uri", "{uri}", "--artifacts", "{files}"],
}
BATCHES, POINTS, KEYS = 10, 1000, 20


def measure(console: Console, rounds: int) -> dict[str, Any]:
    """Send the same points to both in turn, each one process on an SQLite store of its own; return medians."""
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as scratch, contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(_running(name, Path(scratch))) for name in SERVERS}
        rates = {name: [_sent(url)] for name, url in urls.items()}  # a first time that does not count
        for _ in range(rounds):
            for name, url in urls.items():
                rates[name].append(_sent(url))
    found: dict[str, Any] = {name: statistics.median(measured[1:]) for name, measured in rates.items()}
    found["ratio"] = found["weft serve"] / found["mlflow server"]
    table = Table(title="points a second through a server", title_justify="left")
    for column in ("", "median", "against MLflow's"):
        table.add_column(column, justify="right" if column else "left")
    for name in SERVERS:
        table.add_row(name, f"{found[name]:,.0f}", f"{found[name] / found['mlflow server']:.2f}")
    console.print(table)
    return found


@contextlib.contextmanager
def _running(name: str, scratch: Path) -> Iterator[str]:
    """Run a server; give its address when it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = scratch / name.replace(" ", "-")
    place.mkdir()
    words = [word.format(uri=f"sqlite:///{place}/mlflow.db", files=place / "files") for word in SERVERS[name]]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", *words, "--port", str(port), "--workers", "1"],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not _answers(f"http://127.0.0.1:{port}/health"):
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with code {process.returncode}")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def _sent(url: str) -> float:
    """Send a run's points, and see that they are there; return points a second."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(url)
    run = client.create_run("0").info.run_id
    batches = [
        [
            Metric(f"series/{point % KEYS}", point / 7, 1_700_000_000_000 + point, batch * POINTS + point)
            for point in range(POINTS)
        ]
        for batch in range(BATCHES)
    ]
    start = time.perf_counter()
    for batch in batches:
        client.log_batch(run, metrics=batch, synchronous=True)
    seconds = time.perf_counter() - start
    assert len(client.get_metric_history(run, "series/0")) == BATCHES * POINTS // KEYS
    return BATCHES * POINTS / seconds
