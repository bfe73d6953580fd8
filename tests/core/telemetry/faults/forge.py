"""Trainers by the hundred: a process that has imported what they need, and forks one for each job that it is told.

`python -m tests.core.telemetry.faults.forge` reads jobs from its input, a line of JSON each (the fields of `Job`), and runs one
after the other. What it prints, through an unbuffered pipe, is a word and what belongs to it:

    pid 4711
    acknowledged 40    steps from the first on: log() has returned, and nothing of them waits in memory
    waiting 2          log() has returned, and so many entries wait in memory
    warned TEXT        what the log got
    raised TEXT        what log() or end() raised
    ending             end() is called
    ended              end() has returned
    exit -9            and the job is over
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from weft.telemetry import journal, recording, shipping
from weft.telemetry.recording import JournalTracker
from weft.telemetry.tracker import Opening, Row, Status

KEYS = ["train/loss", "grad_norm/layer.weight"]


@dataclass
class Job:
    """What a trainer does, and what becomes of it.

    Args:
        flushes: calls of log(), of `rows` rows each, `pause` seconds after one another.
        ends: whether it comes to its end; else it stands still after the last flush.
        strace: arguments of strace, which is attached before the trainer begins.
        dies: seconds after which it is killed; `after` it has acknowledged so many steps.
        limits: of resources, by the names that they have in `resource`, without the RLIMIT_; from when it has begun, or before.
        pages: that the journal may have, by SQLite's max_page_count.
        checkpoint: pages of the write-ahead log after which SQLite brings them into the database.
        synchronize: seconds between two synchronizations of the disk.
        recovers: the flush before which the limits are lifted, and the file `frees` is removed.
        network: whether the journal is kept as on a network's file system.
        key: of the run; `first`: its first step; `rewinds`: whether it tells that steps come again.
        ships: whether it ships to the store, and trains nothing.
    """

    folder: str
    uri: str
    flushes: int = 10
    rows: int = 2
    pause: float = 0.0
    ends: bool = True
    strict: bool = False
    strace: list[str] = field(default_factory=list)
    dies: float | None = None
    limits: dict[str, int] = field(default_factory=dict)
    limited_first: bool = False
    pages: int | None = None
    checkpoint: int = 4
    synchronize: float = 0.02
    recovers: int | None = None
    frees: str = ""
    network: bool = False
    key: str = ""
    rewinds: bool = False
    first: int = 0
    ships: bool = False


def value(key: str, step: int) -> float:
    """Return what a trainer logs."""
    return step / 7 + KEYS.index(key)


def _tell(*words: Any) -> None:
    os.write(1, (" ".join(map(str, words)).replace("\n", " ") + "\n").encode())


class _Told(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _tell("warned", record.getMessage())


def _limit(job: Job, before: dict[str, tuple[int, int]]) -> None:
    for name, most in job.limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, before[name][1]))


def _train(job: Job) -> None:
    logging.getLogger("weft").handlers[:] = [_Told()]
    logging.getLogger("weft").propagate = False
    shipping.ensure = lambda spool: None  # who ships is another matter, and not this process's
    recording._SYNCHRONIZE = job.synchronize
    recording._RETRY = 0.0
    connected = journal.Journal._connected

    def eager(self: journal.Journal) -> Any:
        connection = connected(self)
        connection.execute(f"PRAGMA wal_autocheckpoint = {job.checkpoint}")
        if job.pages is not None and os.environ.get("PAGES") != "lifted":
            connection.execute(f"PRAGMA max_page_count = {job.pages}")
        return connection

    if job.network:
        journal.file_system = lambda path: "nfs"
    journal.Journal._connected = eager  # type: ignore[method-assign]
    before = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in job.limits}
    if job.limited_first:
        _limit(job, before)
    tracker = JournalTracker(Path(job.folder), job.uri, strict=job.strict, wait=0.0)
    opening = {"key": job.key} if job.key else {}
    tracker.start(Opening("x", "faults", {"lr": "0.1"}, **opening))
    _limit(job, before)
    if job.rewinds:
        tracker.rewind(job.first)
    _tell("acknowledged", job.first)
    step, refused = job.first, False
    for flush in range(job.flushes):
        if flush == job.recovers:
            os.environ["PAGES"] = "lifted"
            for name, limit in before.items():
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), limit)
            if job.frees:
                os.unlink(job.frees)
        now = time.time_ns() // 1_000_000
        rows = [Row(step + row, now, KEYS, [value(key, step + row) for key in KEYS]) for row in range(job.rows)]
        step += job.rows
        try:
            tracker.log(rows)
        except Exception as error:
            _tell("raised", f"{type(error).__name__}: {error}")
            refused = True
            break
        else:
            _tell(*(("waiting", tracker.waiting) if tracker.waiting else ("acknowledged", step)))
        time.sleep(job.pause)
    if not job.ends:
        signal.pause()
    _tell("ending")
    try:
        tracker.end(Status.FINISHED)
        if tracker.waiting == 0 and not refused and step == job.first + job.flushes * job.rows:
            _tell("acknowledged", step)
        _tell("ended")
    except Exception as error:
        _tell("raised", f"{type(error).__name__}: {error}")


def _ship(job: Job) -> None:
    from weft.telemetry import shipper
    from weft.telemetry.spool import Spool

    shipper.serve(Spool(job.uri), threading.Event(), idle=0.5)


def _start(job: Job) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if job.strace:
                while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
                    time.sleep(0.001)
            (_ship if job.ships else _train)(job)
            code = 0
        except BaseException as error:
            _tell("raised", f"{type(error).__name__}: {error}")
        finally:
            os._exit(code)
    return pid


def main() -> None:
    """Run the jobs that come."""
    for line in sys.stdin:
        job = Job(**json.loads(line))
        if job.ships:
            import_module("weft.telemetry.shipper").prepare()  # once, for all of them
        pid = _start(job)
        _tell("pid", pid)
        tracer = (
            subprocess.Popen(["strace", "-f", "-qq", *job.strace, "-p", str(pid)], stderr=subprocess.DEVNULL)
            if job.strace
            else None
        )
        if job.dies is not None:
            time.sleep(job.dies)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if tracer is not None:
            tracer.wait()
        _tell("exit", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
