"""A sweep's ledger: what is to be done and how far it is, in `sweep.db` in the sweep's folder.

A job is written down before it starts and after it ends. Between the two its own folder knows more: `run.json` is written by
the job, and its lock is held as long as it lives. Whoever finds a job `running` after a crash asks there (`settled`).

planned ─ running ─ finished        skipped: it can't be, and the reason is kept
            │  └─── failed ──┐      superseded: done before, of other data or plugins
            └ interrupted ───┴─ running …
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from weft.errors import ConfigError, WeftError
from weft.folder import Folder

FILE = "sweep.db"
_LOCK = ".sweep.lock"
_VERSION = 1
_PATIENCE = 15.0
"""Seconds that a job may live on after its parent."""
_JOBS = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY, identity TEXT NOT NULL, overrides TEXT NOT NULL, config TEXT NOT NULL, state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '', facts TEXT NOT NULL DEFAULT '{}', attempts INTEGER NOT NULL DEFAULT 0,
    started REAL, ended REAL
)
"""


class LedgerError(WeftError):
    """The ledger can't be written: the disk is full, or has failed."""


class State(StrEnum):
    """How far a job is."""

    PLANNED = "planned"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"


@dataclass(frozen=True)
class Job:
    """One job as the ledger knows it.

    `number` is also the name of its folder. `config` is the whole configuration as plain values. `facts` are what was found of
    data, code and machine when it was planned.
    """

    number: int
    identity: str
    overrides: tuple[str, ...]
    config: Mapping[str, Any]
    state: State = State.PLANNED
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    started: float | None = None
    ended: float | None = None


class Ledger:
    """The ledger of the sweep in a folder, held by one process at a time.

    Raises:
        ConfigError: another process holds it; it is of a newer weft, or no ledger.
    """

    def __init__(self, folder: Path):
        self.folder = folder.absolute()
        self.file = self.folder / FILE
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / _LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(f"{folder}: this sweep is under way, in another process") from None
        try:
            self._connection = self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> sqlite3.Connection:
        new = not self.file.exists()
        if new:
            self.file.touch(mode=0o600)  # a config may hold a password, in the tracking URI
        connection = sqlite3.connect(self.file, isolation_level=None)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if version > _VERSION:
                raise ConfigError(
                    f"{self.file}: written by a newer weft (its format is {version}, this one knows {_VERSION}); update weft"
                )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if not tables:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_JOBS)
                connection.execute("CREATE TABLE sweep (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                connection.execute("COMMIT")
            elif not {"jobs", "sweep"} <= tables:
                raise ConfigError(f"{self.file}: not the ledger of a sweep")
        except sqlite3.DatabaseError as error:
            connection.close()
            if isinstance(error, sqlite3.OperationalError):
                raise LedgerError(f"{self.file}: {error}") from error
            raise ConfigError(f"{self.file}: not the ledger of a sweep ({error})") from None
        except BaseException:
            connection.close()
            raise
        return connection

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give it back."""
        self._connection.close()
        self._lock.release()

    def note(self, **values: Any) -> None:
        """Keep something of the sweep as a whole."""
        with self._transaction():
            for key, value in values.items():
                self._connection.execute("INSERT OR REPLACE INTO sweep VALUES (?, ?)", (key, json.dumps(value)))

    def noted(self, key: str, default: Any = None) -> Any:
        """Return what `note` kept."""
        found = self._connection.execute("SELECT value FROM sweep WHERE key = ?", (key,)).fetchone()
        return default if found is None else json.loads(found[0])

    def jobs(self) -> list[Job]:
        """Return all jobs, in the order of their numbers."""
        columns = "number, identity, overrides, config, state, reason, facts, attempts, started, ended"
        rows = self._connection.execute(f"SELECT {columns} FROM jobs ORDER BY number").fetchall()
        return [
            Job(number, name, tuple(json.loads(overrides)), json.loads(config), State(state), reason, json.loads(facts), *rest)
            for number, name, overrides, config, state, reason, facts, *rest in rows
        ]

    def plan(self, jobs: Iterable[Job]) -> None:
        """Write jobs down, all of them or none; one that is there already is replaced."""
        rows = [
            (
                *(job.number, job.identity, json.dumps(job.overrides), json.dumps(job.config), str(job.state), job.reason),
                *(json.dumps(job.facts), job.attempts, job.started, job.ended),
            )
            for job in jobs
        ]
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def begin(self, job: Job) -> Job:
        """Write down that a job starts now; return it as it is then."""
        begun = replace(job, state=State.RUNNING, reason="", attempts=job.attempts + 1, started=time.time(), ended=None)
        self.plan([begun])
        return begun

    def end(self, job: Job, state: State, reason: str = "") -> Job:
        """Write down how a job ended; return it as it is then."""
        ended = replace(job, state=state, reason=reason, ended=time.time())
        self.plan([ended])
        return ended

    def settle(self) -> None:
        """Write down how jobs ended that were `running` when the process died that held this ledger, or that another launcher
        ran: by what their folders tell.

        Raises:
            ConfigError: one has not ended, its process is alive.
        """
        for job in self.jobs():
            if job.state is State.RUNNING:
                state, reason = settled(Folder(self.folder / str(job.number)))
                self.end(job, state, reason)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise LedgerError(f"{self.file}: {error}") from error


def is_sweep(folder: Path) -> bool:
    """Whether a folder holds a ledger."""
    return (folder / FILE).is_file()


def settled(folder: Folder) -> tuple[State, str]:
    """Return how a job has ended by what its own folder tells, and why: for a process that is gone without a word.

    Raises:
        ConfigError: it has not ended, its process is alive.
    """
    _wait_until_free(folder)
    record = folder.record()
    status = record.get("status")
    if status == "FINISHED":
        return State.FINISHED, ""
    if status == "FAILED":
        return State.FAILED, str(record.get("error") or "")
    return State.INTERRUPTED, ""


def _wait_until_free(folder: Folder) -> None:
    """Wait until no process is at work in a job's folder: it dies with its parent, but not in no time."""
    if folder.lock.exists():
        try:
            with FileLock(folder.lock, timeout=_PATIENCE):
                pass
        except Timeout:
            raise ConfigError(f"{folder.path}: this run is under way, in another process") from None
