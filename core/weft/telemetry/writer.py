"""A tracker on an MLflow store. Another process of its own does the writing: this one never imports mlflow, nor waits.

Nothing outside this file knows of that process. There is one for each store; it serves every run of this process, and
two threads here speak with it: one encodes and sends, one reads what it answers.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from weft.errors import TrackingError
from weft.telemetry.redaction import redact
from weft.telemetry.store import absolute_uri
from weft.telemetry.tracker import DatasetInput, Opening, Row, Status

_ROWS_A_MESSAGE = 4  # encoding them keeps the interpreter from training for less than half a millisecond


def warm(uri: str) -> None:
    """Start what writes to a store, so that it is ready when the first run starts. Nothing is written yet.

    Raises:
        TrackingError: no process can be started.
    """
    _process(absolute_uri(uri))


class MlflowTracker:
    """Takes what one run reports to an MLflow store.

    Args:
        uri: of the store; an SQLite path is relative to the current directory.
        artifact_root: folder that a new experiment's artifacts go into, by default `artifacts` beside an SQLite file; a
            tracking server has its own.
    """

    def __init__(self, uri: str, artifact_root: Path | None = None):
        self._uri = absolute_uri(uri)
        self._artifact_root = artifact_root and artifact_root.absolute()
        self._process: _Process | None = None
        self._run = _Run()

    @property
    def run_id(self) -> str:
        """The store's name for this run; waits until the store has given it.

        Raises:
            TrackingError: there is no run.
        """
        self._started()
        self._run.opened.wait()
        if self._run.run_id is None:
            raise TrackingError(self._run.lost)
        return self._run.run_id

    def start(self, opening: Opening) -> None:
        """Open the run. Returns before the store has answered."""
        self._process = _process(self._uri, self._run)
        self._send(
            "start",
            uri=self._uri,
            artifact_root=self._artifact_root and str(self._artifact_root),
            name=redact("name", opening.name),
            experiment=opening.experiment,
            params=_redacted(opening.params),
            tags=_redacted(opening.tags),
            dataset=opening.dataset and _dataset(opening.dataset),
            run_id=opening.run_id,
            key=opening.key,
            time=time.time_ns() // 1_000_000,
        )

    def log(self, rows: Sequence[Row]) -> None:
        """Take these rows. Returns at once.

        Raises:
            TrackingError: the run could not be opened, or what writes it is gone.
        """
        process = self._started()
        for start in range(0, len(rows), _ROWS_A_MESSAGE):
            process.send(_Rows(self._run.number, tuple(rows[start : start + _ROWS_A_MESSAGE])))

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags; a later value replaces an earlier one."""
        self._send("tag", tags=_redacted(tags))

    def artifact(self, path: Path, folder: str = "") -> None:
        """Keep a file, or all files of a folder, under `folder` of the run. It must stay until `end` returns."""
        self._send("artifact", path=str(path.absolute()), folder=folder)

    def end(self, status: Status) -> None:
        """Close the run, and wait until everything is stored.

        Raises:
            TrackingError: something was not stored; the message says what.
        """
        self._send("end", status=str(status), time=time.time_ns() // 1_000_000)
        self._run.ended.wait()
        if self._run.lost:
            raise TrackingError(self._run.lost)
        if self._run.refused:
            raise TrackingError(f"{redact('uri', self._uri)} refused of this run: {'; '.join(self._run.refused)}")

    def _send(self, verb: str, **content: Any) -> None:
        self._started().send({"verb": verb, "run": self._run.number, **content})

    def _started(self) -> _Process:
        if self._process is None:
            raise TrackingError("the run was not started")
        if self._run.lost:
            raise TrackingError(self._run.lost)
        return self._process


_numbers = itertools.count()


@dataclass
class _Run:
    """What is known here of a run: filled by the thread that reads answers."""

    number: int = field(default_factory=lambda: next(_numbers))
    run_id: str | None = None
    refused: list[str] = field(default_factory=list)
    lost: str = ""
    opened: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def lose(self, why: str) -> None:
        """Note that nothing can be recorded any more, and let go who waits."""
        self.lost = self.lost or why
        self.opened.set()
        self.ended.set()


class _Rows(NamedTuple):
    """Rows on their way, encoded by the thread that sends them."""

    run: int
    rows: tuple[Row, ...]


class _Process:
    """The process that writes to one store, and the threads that speak with it."""

    def __init__(self, uri: str):
        self._uri = uri
        self._outbox: SimpleQueue[_Rows | dict[str, Any] | None] = SimpleQueue()
        self._runs: dict[int, _Run] = {}
        self._ended = ""
        self._guard = threading.Lock()
        self._was_used = False
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (read when the process has ended)
        # Its own session: signals from the terminal are for this process. PYTHONWARNINGS=error is, too.
        command = [sys.executable, "-P", "-W", "ignore", "-m", "weft.telemetry.mlflow"]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._output,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise TrackingError(f"the process that writes to {self._shown} can't be started: {error}") from None
        self._sender = threading.Thread(target=self._write, daemon=True, name="weft tracking, sending")
        self._sender.start()
        threading.Thread(target=self._read, daemon=True, name="weft tracking, answers").start()

    @property
    def is_alive(self) -> bool:
        return not self._ended

    @property
    def is_idle(self) -> bool:
        return not self._runs

    def add(self, run: _Run) -> None:
        with self._guard:
            self._runs[run.number] = run
            if self._ended:
                run.lose(self._ended)

    def send(self, message: _Rows | dict[str, Any]) -> None:
        self._was_used = True
        self._outbox.put(message)

    def retire(self) -> None:
        """Let it finish what it was sent, and end it. One that was sent nothing is not waited for."""
        if not self._was_used:
            self._process.kill()
        self._outbox.put(None)

    def close(self) -> None:
        """The same, and wait for it."""
        self.retire()
        self._sender.join()
        self._process.wait()

    def leave_to_parent(self) -> None:
        """In a fork: let go of the pipe, or the end of who owns it would go unnoticed while this process lives."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        for run in self._runs.values():
            run.lost = "a run is reported by the process that started it, not by its forks"

    @property
    def _shown(self) -> str:
        return redact("uri", self._uri)

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):  # who reads the answers notices the end, and says so
            while (message := self._outbox.get()) is not None:
                remaining = memoryview(self._encoded(message))
                while remaining:
                    remaining = remaining[pipe.write(remaining) :]
        pipe.close()

    def _encoded(self, message: _Rows | dict[str, Any]) -> bytes:
        try:
            if isinstance(message, _Rows):
                message = {"verb": "log", "run": message.run, "rows": message.rows}
            return json.dumps(message, default=float).encode() + b"\n"
        except (TypeError, ValueError) as error:
            number = message.run if isinstance(message, _Rows) else message["run"]
            if number in self._runs:
                self._runs[number].refused.append(f"what can't be sent: {error}")
            return b""

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            for line in self._process.stdout:
                self._take(json.loads(line))
            self._process.stdout.close()
        self._note_end(self._process.wait())

    def _take(self, answer: Mapping[str, Any]) -> None:
        run = self._runs.get(answer["run"])
        if run is None:  # lost, as it was told already
            return
        if "run_id" in answer:
            run.run_id = answer["run_id"]
            run.opened.set()
        elif "lost" in answer:
            run.lose(answer["lost"])
        else:
            run.refused += answer["ended"]
            run.ended.set()
        if run.ended.is_set():
            self._runs.pop(run.number)

    def _note_end(self, code: int) -> None:
        self._output.seek(0)
        told = redact("output", self._output.read()[-2000:].decode(errors="replace").strip())
        self._output.close()
        self._outbox.put(None)
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with code {code}"
        with self._guard:
            self._ended = f"the process that writes to {self._shown} {how}" + (f": {told}" if told else "")
            for run in self._runs.values():
                run.lose(self._ended)


_processes: dict[str, _Process] = {}
_starting = threading.Lock()


def _process(uri: str, run: _Run | None = None) -> _Process:
    """Return the process that writes to a store, with a run entered; start one where there is none, or none any more.

    Those of other stores that have no run are ended then: each keeps a quarter of a gigabyte.
    """
    with _starting:
        known = _processes.get(uri)
        if known is None or not known.is_alive:
            for other in [name for name, process in _processes.items() if process.is_idle]:
                _processes.pop(other).retire()
            known = _processes[uri] = _Process(uri)
        if run is not None:
            known.add(run)
        return known


@atexit.register
def _close_all() -> None:
    for process in _processes.values():
        process.close()


def _leave_to_parent() -> None:
    global _starting
    for process in _processes.values():
        process.leave_to_parent()
    _processes.clear()
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def _redacted(values: Mapping[str, str]) -> dict[str, str]:
    return {key: redact(key, str(value)) for key, value in values.items()}


def _dataset(dataset: DatasetInput) -> dict[str, Any]:
    profile = {key: redact(key, value) if isinstance(value, str) else value for key, value in dataset.profile.items()}
    source = redact("source", dataset.source)
    return {"name": dataset.name, "digest": dataset.digest, "source": source, "profile": profile}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
