"""How far each journal has been shipped to one store, and what that store refused. One process writes it, others read.

It can be lost: a journal that is shipped again from its start adds nothing to what arrived before.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.errors import TrackingError

_TABLES = """
CREATE TABLE IF NOT EXISTS journals (
    key TEXT, attempt INTEGER, run_id TEXT, cursor INTEGER, state TEXT, said TEXT, PRIMARY KEY (key, attempt)
);
CREATE TABLE IF NOT EXISTS dead_letters (
    key TEXT, attempt INTEGER, seq INTEGER, item TEXT, error TEXT, PRIMARY KEY (key, attempt, seq, item)
);
CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY, said TEXT, at REAL);
"""

SHIPPING, DONE, PARKED = "shipping", "done", "parked"
"""A journal is being shipped, or all of it is in the store, or it can't be, and `said` is why."""


@dataclass
class Progress:
    """Of one journal: the id of its run in the store, the last entry that is there, and what went wrong."""

    run_id: str | None = None
    cursor: int = 0
    state: str = SHIPPING
    said: str = ""


def of(file: Path, key: str, attempt: int) -> Progress:
    """Return how far a journal has come, as far as is known."""
    rows = _ask(file, "SELECT run_id, cursor, state, said FROM journals WHERE key = ? AND attempt = ?", key, attempt)
    return Progress(*rows[0]) if rows else Progress()


def said(file: Path, since: float = 0.0) -> str:
    """Return what is wrong with the store, empty when nothing is. What was said before `since`, in seconds since 1970, may be
    over: who said it may be gone, or pausing."""
    return "".join(text for (text,) in _ask(file, "SELECT said FROM state WHERE at >= ?", since))


def dead_letters(file: Path, key: str, attempt: int) -> list[tuple[int, str, str]]:
    """Return what the store refused for good: the entry's seq, what it was, and the reason."""
    return _ask(file, "SELECT seq, item, error FROM dead_letters WHERE key = ? AND attempt = ? ORDER BY seq", key, attempt)


class ProgressFile:
    """The writing side, for the one process that ships to the store."""

    def __init__(self, file: Path):
        """Raises:
        TrackingError: it can't be opened now.
        """
        self._file = file
        try:
            self._connection = self._mended(file)
        except (OSError, sqlite3.Error) as error:
            raise TrackingError(f"{file}: {error}") from None

    def save(self, key: str, attempt: int, progress: Progress) -> None:
        """Keep how far a journal has come.

        Raises:
            TrackingError: it can't be kept now.
        """
        self._write(
            "INSERT OR REPLACE INTO journals VALUES (?, ?, ?, ?, ?, ?)",
            (key, attempt, progress.run_id, progress.cursor, progress.state, progress.said),
        )

    def refuse(self, key: str, attempt: int, seq: int, item: str, error: str) -> None:
        """Keep what the store refused for good.

        Raises:
            TrackingError: it can't be kept now.
        """
        self._write(
            "INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?)", (key, attempt, seq, item[:1000], error[:1000])
        )

    def say(self, text: str) -> None:
        """Tell what is wrong with the store at present, as far as that can be; empty when nothing is."""
        with contextlib.suppress(TrackingError):
            self._write("INSERT OR REPLACE INTO state VALUES (1, ?, ?)", (text, time.time()))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise TrackingError(f"{self._file}: {error}") from None

    def _mended(self, file: Path) -> sqlite3.Connection:
        try:
            return self._opened(file)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise
        for part in ("", "-wal", "-shm"):  # damaged: it was worth a resend, no more
            file.with_name(file.name + part).unlink(missing_ok=True)
        return self._opened(file)

    def _opened(self, file: Path) -> sqlite3.Connection:
        file.touch(mode=0o600)
        connection = sqlite3.connect(file, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_TABLES)
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection


def _ask(file: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=20)) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.Error:  # not there yet, or being made
        return []
