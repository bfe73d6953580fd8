"""What recording costs: log() in the loop's thread, points into the journal, points from journals into MLflow's tables.

log() is measured with a store that is up, slow, down and absent, interleaved; it knows nothing of any of them, so that the
ratios should be one. Points go into the store as the process that ships puts them there, but in this process; against MLflow's
own `log_batch` in the same run.
"""

from __future__ import annotations

import contextlib
import http.server
import logging
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console
from rich.table import Table

import weft
from tests.core.telemetry.conftest import stop_shipper
from weft.telemetry import journal, shipper, shipping, verification
from weft.telemetry import store as stores
from weft.telemetry.recording import JournalTracker
from weft.telemetry.spool import Spool
from weft.telemetry.tracker import Opening, Row, Status

CALLS = 2000
POINTS = 200_000
_NOW = 1_700_000_000_000


def measure(console: Console, rounds: int) -> dict[str, Any]:
    """Measure all of it; return medians over the rounds."""
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("weft").setLevel(logging.ERROR)  # that a store is away is what is measured
        place = Path(scratch)
        return {
            "log": _log(console, place, rounds),
            "ingest": _ingest(console, place, rounds),
            "exit": _exit(console, place, rounds),
            "drain": _drain(console, place, max(3, rounds // 3)),
        }


def _log(console: Console, place: Path, rounds: int) -> dict[str, Any]:
    """Time single calls of `weft.track`'s log, of one value and of a hundred. Each store comes first in turn, and
    who ships to one is gone when the next is measured."""
    found: dict[str, list[float]] = {f"{keys} {name}": [] for keys in (1, 100) for name in ("up", "slow", "down", "absent")}
    with _slow_server() as slow:
        stores_of = {"up": f"sqlite:///{place}/up.db", "slow": slow, "down": "http://127.0.0.1:9", "absent": None}
        for first in range(rounds):
            for name, uri in [*stores_of.items(), *stores_of.items()][first % 4 :][:4]:
                nobody = mock.patch.object(shipping, "ensure") if uri is None else contextlib.nullcontext()
                with nobody, mock.patch.dict(os.environ, {"XDG_STATE_HOME": str(place / "state")}):
                    run = weft.track("bench", runs=place / "runs", uri=uri or f"sqlite:///{place}/no.db", wait=0.0)
                    for keys in (1, 100):
                        values = {f"key{number}": number / 7 for number in range(keys)}
                        took = found[f"{keys} {name}"]
                        for _ in range(CALLS):
                            begin = time.perf_counter()
                            run.log(values)
                            took.append(time.perf_counter() - begin)
                            _work()
                    run.end()
                    if uri is not None:
                        stop_shipper(uri)
    shares = {"p50": 50, "p99": 99}
    taken = {name: {key: sorted(all)[len(all) * of // 100] * 1e6 for key, of in shares.items()} for name, all in found.items()}
    title = f"log(), {CALLS} calls in each of {rounds} rounds"
    table = Table("metrics, store", "p50 µs", "p99 µs", "p50 / absent", title=title, title_justify="left")
    for name, row in taken.items():
        ratio = row["p50"] / taken[f"{name.split()[0]} absent"]["p50"]
        table.add_row(name, f"{row['p50']:.2f}", f"{row['p99']:.1f}", f"{ratio:.3f}")
    console.print(table)
    return taken


def _work() -> None:
    """Some training between two calls."""
    sum(range(500))


def _ingest(console: Console, place: Path, rounds: int) -> dict[str, float]:
    """Write points into a journal: one a row, and a hundred a row."""
    found: dict[str, list[float]] = {}
    for round in range(rounds):
        for keys in (1, 100):
            names = [f"key{number}" for number in range(keys)]
            rows = [Row(step, _NOW + step, names, [step / 7] * keys) for step in range(POINTS // keys)]
            written = journal.Journal(place / f"{round}.{keys}.journal", {"key": "k", "attempt": 1})
            begin = time.perf_counter()
            for start in range(0, len(rows), 256):
                written.append(rows[start : start + 256])
            found.setdefault(f"{keys} a row", []).append(POINTS / (time.perf_counter() - begin))
            written.close()
    medians = {name: statistics.median(values) for name, values in found.items()}
    console.print("journal, points/s: " + ", ".join(f"{name} {value:,.0f}" for name, value in medians.items()))
    return medians


def _exit(console: Console, place: Path, rounds: int) -> dict[str, float]:
    """Time the end of a run whose store is away."""
    took = []
    for _ in range(min(rounds, 5)):
        with mock.patch.dict(os.environ, {"XDG_STATE_HOME": str(place / "state")}):
            run = weft.track("bench", runs=place / "runs", uri="http://127.0.0.1:9", every=None)
        run.log({"x": 1.0})
        begin = time.perf_counter()
        run.end()
        took.append(time.perf_counter() - begin)
    console.print(f"the end of a run whose store is away: {max(took):.2f} s at most")
    return {"most": max(took)}


def _drain(console: Console, place: Path, rounds: int) -> dict[str, Any]:
    """Ship journals into a store's tables, against stock log_batch of the same points."""
    found: dict[str, dict[str, list[float]]] = {}
    with contextlib.ExitStack() as stack:
        databases = {"sqlite": lambda number: f"sqlite:///{place}/drain{number}.db"}
        server = _postgresql(stack)
        if server is not None:
            databases["postgresql"] = lambda number: server
        else:
            console.print("PostgreSQL is not measured: its server's programs are not here")
        for number in range(rounds):
            for name, uri_of in databases.items():
                uri = uri_of(number)
                stores.opened(uri)
                row = found.setdefault(name, {"weft": [], "stock": []})
                row["weft"].append(_shipped(place / f"{name}{number}", uri))
                row["stock"].append(_stock(uri))
    medians = {name: {key: statistics.median(values) for key, values in row.items()} for name, row in found.items()}
    table = Table("store", "shipped, points/s", "stock log_batch", "ratio", title="into MLflow's tables", title_justify="left")
    for name, speeds in medians.items():
        table.add_row(name, f"{speeds['weft']:,.0f}", f"{speeds['stock']:,.0f}", f"{speeds['weft'] / speeds['stock']:.1f}")
    console.print(table)
    return medians


def _shipped(folder: Path, uri: str) -> float:
    with mock.patch.object(shipping, "ensure"), mock.patch.dict(os.environ, {"XDG_STATE_HOME": str(folder.parent / "state")}):
        tracker = JournalTracker(folder, uri, wait=0.0)
        tracker.start(Opening("drain", "drain"))
        names = [f"series/{number}" for number in range(20)]
        for start in range(0, POINTS // 20, 100):
            rows = [Row(step, _NOW + step, names, [step / 7 + n for n in range(20)]) for step in range(start, start + 100)]
            tracker.log(rows)
        tracker.end(Status.FINISHED)
        begin = time.perf_counter()
        shipper.serve(Spool(uri), threading.Event(), 0.0)
        took = time.perf_counter() - begin
        finding = verification.verify(folder, uri)
    assert finding.is_right, finding
    return POINTS / took


def _stock(uri: str) -> float:
    from mlflow.entities import Metric
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    client = stores.opened(uri)
    run = client.create_run(client.get_experiment_by_name("drain").experiment_id).info.run_id
    store = SqlAlchemyStore(uri, "mlruns")
    points = [Metric(f"series/{n % 20}", n / 7, _NOW + n, n // 20) for n in range(20_000)]
    begin = time.perf_counter()
    for start in range(0, len(points), 1000):
        store.log_batch(run, points[start : start + 1000], [], [])
    return len(points) / (time.perf_counter() - begin)


@contextlib.contextmanager
def _slow_server() -> Iterator[str]:
    """Run a server that answers nothing for ten seconds."""

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            stopped.wait(10)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    stopped = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()


def _postgresql(stack: contextlib.ExitStack) -> str | None:
    """Start a server of a folder's own; None where its programs are not here."""
    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        return None
    place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weft-bench-")))
    user: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to be run by root
        shutil.chown(place, "postgres")
        place.chmod(0o755)
        user = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    call: Callable[..., Any] = lambda *words: subprocess.run([*user, *words], check=True, capture_output=True, cwd=place)  # noqa: E731
    call("initdb", "-D", str(place / "data"), "-A", "trust", "-U", "weft")
    options = f"-p {port} -k {place} -c listen_addresses=127.0.0.1"
    call("pg_ctl", "-D", str(place / "data"), "-w", "-l", str(place / "log"), "-o", options, "start")
    stack.callback(call, "pg_ctl", "-D", str(place / "data"), "-m", "immediate", "stop")
    return f"postgresql+psycopg://weft@127.0.0.1:{port}/postgres"
