"""A journal: what one attempt at a run reports, in one SQLite file that only that attempt writes.

    entries   seq    1, 2, 3, … in the order of reporting
              kind   journal   content: format, key, attempt, and who writes it
                     open      content: the run's opening
                     row       step, at (milliseconds since 1970), series, content: the values of its keys
                     tags      content: the tags
                     artifact  content: path, folder
                     model     content: path, registered
                     end       content: status; at: when
    series    id     1, 2, 3, … in the order of their first use
              keys   the list of keys that rows of this series have values of
    both      checksum   CRC-32 of all that stands before it

Content is JSON, but for a row's: its values as little-endian float64, bit for bit as they were reported; SQLite itself would
make NULL of NaN and 0.0 of -0.0. One transaction a flush; in WAL mode a process that dies loses none that was committed.
SQLite notices damage to its own structures; the checksums, and numbers without a gap, tell of damage to what these hold.
One connection writes and checkpoints, all others read: SQLite before 3.51.3 can lose pages where two do.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import sqlite3
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from weft.errors import JournalError, UserError
from weft.telemetry import lease
from weft.telemetry.tracker import STEPS, Row

FORMAT = 1
SUFFIX = ".journal"
_APPLICATION = int.from_bytes(b"weft", "big")
_TABLES = (
    "CREATE TABLE entries "
    "(seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, step INTEGER, at INTEGER, series INTEGER, content, checksum INTEGER)",
    "CREATE TABLE series (id INTEGER PRIMARY KEY, keys TEXT NOT NULL, checksum INTEGER)",
)
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)"
_SELECT = "SELECT seq, kind, step, at, series, content, checksum FROM entries WHERE seq >= ? ORDER BY seq LIMIT ?"
_NETWORKS = "nfs nfs4 cifs smb smb2 smb3 smbfs afpfs 9p ceph lustre glusterfs beegfs gpfs sshfs".split()  # noqa: SIM905
_HEAD = struct.Struct("<qqqq")
_SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOLCK, errno.ESTALE}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_ELSEWHERE = {*_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
"""Errors of SQLite's that say nothing of what the file holds."""
_AT_ONCE = 10_000
_PATIENCE = 20.0
_TRIES = 3
"""A disk's error may be over the next time; a part that can't be read at the third is damaged."""

_Values = tuple[int, str, int | None, int | None, int | None, bytes | str, int]


class _Batch(NamedTuple):
    """What one transaction adds."""

    entries: list[_Values]
    series: dict[tuple[str, ...], int]
    latest: dict[str, tuple[int, int]]


class Entry(NamedTuple):
    """One line of a journal."""

    seq: int
    kind: str
    step: int
    at: int
    series: int
    content: Any

    @property
    def told(self) -> dict[str, Any]:
        """The content of an entry that is no row."""
        found: dict[str, Any] = json.loads(self.content)
        return found

    @property
    def values(self) -> tuple[float, ...]:
        """The values of a row, bit for bit."""
        return _numbers(len(self.content) // 8).unpack(self.content)


class Damage(NamedTuple):
    """A part of a journal that can't be read: from one seq up to the one that can be read again, None where none can."""

    first: int
    next: int | None
    error: str

    def __str__(self) -> str:
        return f"from entry {self.first} " + ("on" if self.next is None else f"to {self.next - 1}") + f" ({self.error})"


class Event(NamedTuple):
    """An entry that is no row: its kind, what it tells, and its time in milliseconds since 1970 where that matters."""

    kind: str
    content: Mapping[str, object]
    at: int | None = None


class Journal:
    """The writing side. A transaction that fails leaves no trace, and the next one tries anew.

    Args:
        path: of a file that isn't there yet.
        header: what the first entry tells, beside the format.
        events: that are written with it: all of this is there, or nothing.

    Raises:
        sqlite3.Error: it can't be made.
        OSError: the same.
    """

    def __init__(self, path: Path, header: Mapping[str, object], events: Iterable[Event] = ()):
        self.path = path
        self.seq = 0
        self._series: dict[tuple[str, ...], int] = {}
        self._latest: dict[str, tuple[int, int]] = {}
        self._is_known = True
        self._guard = threading.RLock()
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        kind = file_system(path)
        self.network = kind if kind in _NETWORKS else ""
        self._connection = self._connected()
        try:
            self._connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._connection.execute(f"PRAGMA user_version = {FORMAT}")
            with self._transaction() as batch:
                for table in _TABLES:
                    self._connection.execute(table)
                self._add([Event("journal", {"format": FORMAT, **header}), *events], batch)
        except BaseException:
            self._connection.close()
            raise

    def append(self, items: Iterable[Row | Event]) -> None:
        """Write rows and events in one transaction. It is acknowledged when this returns.

        The time of a row is fixed now: of one key, none is before the last one, and a value whose step is no later one is later
        than the last.

        Raises:
            sqlite3.Error: they could not be written, none of them.
            UserError: a value is no number, or a step no integer of 64 bits; none was written.
        """
        with self._transaction() as batch:
            self._add(items, batch)

    def synchronize(self) -> None:
        """Have the disk keep what was written, against a loss of power. For a thread beside the one that trains.

        Raises:
            OSError: it doesn't, or the file is gone.
        """
        try:
            file = os.open(f"{self.path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # another mode, in which each transaction has done so
            os.stat(self.path)
            return
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def close(self) -> None:
        """Close the file."""
        with self._guard:
            self._connection.close()

    def abandon(self) -> None:
        """In a fork: never touch the connection, nor let it be closed. Both are the parent's to do."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA journal_mode = {'DELETE' if self.network else 'WAL'}")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[_Batch]:
        """Write what is put into the batch, all of it or nothing."""
        batch = _Batch([], {}, {})
        with self._guard:
            if not self._is_known:
                self._learn()
            self._is_known = False
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield batch
                self._connection.executemany(_INSERT, batch.entries)
                self._connection.execute("COMMIT")
            except BaseException as error:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.rollback()
                    if isinstance(error, sqlite3.Error):
                        self._connection.close()
                raise
            self.seq += len(batch.entries)
            self._series |= batch.series
            self._latest |= batch.latest
            self._is_known = True

    def _add(self, items: Iterable[Row | Event], batch: _Batch) -> None:
        for seq, item in enumerate(items, self.seq + 1):
            if isinstance(item, Event):
                batch.entries.append(_sealed(seq, item.kind, None, item.at, None, json.dumps(item.content)))
                continue
            keys = tuple(item.keys)
            number = self._series.get(keys) or batch.series.get(keys)
            if number is None:
                number = batch.series[keys] = len(self._series) + len(batch.series) + 1
                told = json.dumps(keys)
                sealed = (number, told, _checksum(number, "series", None, None, None, told))
                self._connection.execute("INSERT INTO series VALUES (?, ?, ?)", sealed)
            at = self._time(item, batch.latest)
            batch.entries.append(_sealed(seq, "row", item.step, at, number, packed(item)))

    def _learn(self) -> None:
        """After a transaction that did not come to its end, begin with what is in the file. A commit that failed may have been
        one all the same; and a connection that met an error of the disk is opened anew."""
        try:
            self._connection.rollback()
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = self._connected()
        (self.seq,) = self._connection.execute("SELECT max(seq) FROM entries").fetchone()
        series = self._connection.execute("SELECT id, keys FROM series").fetchall()
        self._series = {tuple(json.loads(keys)): number for number, keys in series}

    def _time(self, row: Row, latest: dict[str, tuple[int, int]]) -> int:
        at, step = max(row.timestamp, 0), row.step
        for key in row.keys:
            known = latest.get(key) or self._latest.get(key)
            if known is not None and known[0] >= at:
                at = known[0] + (known[1] >= step)  # at one time steps only rise, and no two points are one
        latest.update(dict.fromkeys(row.keys, (at, step)))
        return at


def packed(row: Row) -> bytes:
    """Return a row's values as they stand in a journal.

    Raises:
        UserError: one is no number, or its step no integer of 64 bits.
    """
    if type(row.step) is not int or row.step not in STEPS:
        raise UserError(f"{row.keys[0]}: step {row.step!r} is no integer of 64 bits")
    try:
        return _numbers(len(row.keys)).pack(*row.values)
    except struct.error:
        raise UserError(_unpackable(row)) from None


def _unpackable(row: Row) -> str:
    for key, value in zip(row.keys, row.values, strict=False):
        try:
            _numbers(1).pack(value)
        except struct.error:
            return f"{key}: {str(value)[:100]!r} at step {row.step} is no number"
    return f"{', '.join(row.keys)}: {len(row.values)} values for {len(row.keys)} keys at step {row.step}"


def _sealed(seq: int, kind: str, step: int | None, at: int | None, series: int | None, content: bytes | str) -> _Values:
    return seq, kind, step, at, series, content, _checksum(seq, kind, step, at, series, content)


def _checksum(seq: int, kind: str, step: int | None, at: int | None, series: int | None, content: bytes | str) -> int:
    if isinstance(content, bytes):
        return zlib.crc32(content, zlib.crc32(_HEAD.pack(seq, step, at, series)))
    return zlib.crc32(f"{seq} {kind} {at} {content}".encode())


def _unsealed(values: Sequence[Any], seq: int) -> Entry:
    """Return the entry of this number, as it was written.

    Raises:
        sqlite3.DatabaseError: it is another, or not what was written.
    """
    entry = Entry(*values[:6])
    with contextlib.suppress(struct.error):
        is_row = isinstance(entry.content, bytes)
        if entry.seq == seq and _checksum(*entry) == values[6] and is_row == (entry.kind == "row"):
            return entry
    raise sqlite3.DatabaseError(f"entry {seq} is not what was written")


@lru_cache(maxsize=1000)
def _numbers(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}d")


def file_system(path: Path) -> str:
    """Return the type of the file system that a path is on, empty where it can't be told."""
    try:
        mounts = psutil.disk_partitions(all=True)
    except (OSError, RuntimeError):
        return ""
    within = [mount for mount in mounts if path.absolute().is_relative_to(mount.mountpoint)]
    return max(within, key=lambda mount: len(mount.mountpoint)).fstype.removeprefix("fuse.") if within else ""


def header(path: Path) -> dict[str, Any] | None:
    """Return what a journal's first entry tells; None where it has been begun and not a word was committed.

    Raises:
        JournalError: no journal, or of a format that this weft doesn't know.
    """
    acknowledged = lease.count(lock_of(path))  # first: one that is begun meanwhile has not lost its beginning
    if path.is_fifo():  # would be waited for
        raise JournalError(f"{path}: is no journal of weft's")
    try:
        with path.open("rb") as file:
            start = file.read(100)
    except OSError as error:
        raise JournalError(f"{path}: can't be read ({error.strerror})") from None
    if start and not start.startswith(b"SQLite format 3\0"):
        raise JournalError(f"{path}: is no journal of weft's")
    try:
        with _reading(path) as connection:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        entries, _ = read(path, 1, 1)
    except sqlite3.Error as error:
        raise JournalError(f"{path}: can't be read ({error})") from error
    if not tables and not acknowledged:
        return None
    if not tables:
        raise JournalError(f"{path}: its beginning is lost")
    if application != _APPLICATION:
        raise JournalError(f"{path}: is an SQLite database, and no journal of weft's")
    if version > FORMAT:
        raise JournalError(f"{path}: was written by a newer weft, in format {version}; this one knows {FORMAT}: upgrade weft")
    if not entries or entries[0].kind != "journal":
        raise JournalError(f"{path}: its beginning is damaged")
    return entries[0].told


def moved(path: Path, header: Mapping[str, Any], file: str) -> str:
    """Return where a file that a journal names is now: with the folder of its run it may have been moved."""
    home = header.get("folder")
    return str(path.parent / Path(file).relative_to(home)) if home and Path(file).is_relative_to(home) else file


def read(path: Path, first: int, most: int) -> tuple[list[Entry], Damage | None]:
    """Return the entries from `first` on, at most so many; where they end at some that can't be read, also which those are.

    Raises:
        sqlite3.Error: the file can't be opened at all, or not now.
    """
    tries = _TRIES
    while True:
        tries -= 1
        found: list[Entry] = []
        with _reading(path) as connection:
            try:
                for seq, values in enumerate(connection.execute(_SELECT, (first, most)), first):
                    found.append(_unsealed(values, seq))
                return found, None
            except sqlite3.DatabaseError as error:
                if _is_unmade(error):
                    return [], None
                if _code(error) in _ELSEWHERE:
                    raise
                if _code(error) == sqlite3.SQLITE_IOERR and tries:
                    continue
                start = found[-1].seq + 1 if found else first
                return found, Damage(start, _next_readable(connection, start), str(error))


def series(path: Path, after: int = 0) -> dict[int, list[str]]:
    """Return the keys of the series whose number is greater than `after`, as far as they can be read.

    Raises:
        sqlite3.Error: the file can't be opened at all, or not now.
    """
    found: dict[int, list[str]] = {}
    with _reading(path) as connection:
        try:
            for number, keys, checksum in connection.execute("SELECT * FROM series WHERE id > ? ORDER BY id", (after,)):
                if _checksum(number, "series", None, None, None, keys) == checksum:
                    found[number] = json.loads(keys)
        except sqlite3.DatabaseError as error:
            if _code(error) in _ELSEWHERE:
                raise
    return found


def entries(path: Path, damaged: Callable[[Damage], object] = lambda damage: None) -> Iterator[Entry]:
    """Yield all entries that can be read; call `damaged` with each part that can't be.

    Raises:
        sqlite3.Error: the file can't be opened at all, or not now.
    """
    first = 1
    while True:
        found, damage = read(path, first, _AT_ONCE)
        yield from found
        if damage is not None:
            damaged(damage)
        if damage is not None and damage.next is not None:
            first = damage.next
        elif found and damage is None:
            first = found[-1].seq + 1
        else:
            return


def rows(path: Path, step: int = STEPS.start) -> Iterator[Row]:
    """Yield the rows, of this step and later ones, as far as they can be read.

    Raises:
        sqlite3.Error: the file can't be opened at all, or not now.
    """
    keys = series(path)
    for entry in entries(path):
        if entry.kind == "row" and entry.step >= step and entry.series in keys:
            yield Row(entry.step, entry.at, keys[entry.series], entry.values)


def _next_readable(connection: sqlite3.Connection, start: int) -> int | None:
    """Return the first seq behind a part that can't be read: pages hold neighbours, so a step that is too long is halved."""

    def probe(seq: int) -> int | None:
        try:
            values = connection.execute(_SELECT, (seq, 1)).fetchone()
            return values and _unsealed(values, values[0]).seq
        except sqlite3.DatabaseError:
            return None

    bad, step = start, 1
    while step <= 2**40:
        readable = probe(bad + step)
        if readable is not None:
            break
        bad, step = bad + step, step * 2
    else:
        return None
    good = bad + step
    while good - bad > 1:
        middle = (bad + good) // 2
        found = probe(middle)
        if found is None:
            bad = middle
        else:
            good, readable = middle, found
    return readable


def _reading(path: Path) -> contextlib.closing[sqlite3.Connection]:
    """Open a journal to read it, also one that is cut off. Who can't write can't checkpoint either. One exception: without
    write-ahead log, a writer that died in a transaction has left what takes it back, and nobody can read before it is done."""
    connection = _opened(path, "ro")
    connection.execute("PRAGMA writable_schema = ON")  # else SQLite refuses a file that is shorter than it was
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_ROLLBACK:
            with contextlib.closing(_opened(path, "rw")) as mending, contextlib.suppress(sqlite3.Error):
                mending.execute("PRAGMA schema_version")
    return contextlib.closing(connection)


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=_PATIENCE)


def _code(error: sqlite3.DatabaseError) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF


def is_passing(error: JournalError | sqlite3.Error) -> bool:
    """Whether an error says nothing of what the file holds: it may be read another time."""
    if isinstance(error, JournalError):  # it has never been read: only a lock is sure to pass
        cause = error.__cause__
        if isinstance(cause, OSError):
            return cause.errno in _SCARCE
        return isinstance(cause, sqlite3.DatabaseError) and _code(cause) in _LOCKED
    return isinstance(error, sqlite3.DatabaseError) and _code(error) in _ELSEWHERE


def _is_unmade(error: sqlite3.DatabaseError) -> bool:
    return "no such table" in str(error)


def attempts(folder: Path) -> dict[int, Path]:
    """Return the journals of a run's folder by the numbers of their attempts."""
    found = {path.name.removesuffix(SUFFIX): path for path in folder.glob(f"*{SUFFIX}")}
    return {int(number): found[number] for number in sorted(filter(str.isdigit, found), key=int)}


def original(folder: Path) -> Path | None:
    """Return the folder that one is a copy of, where that is there still. To go on in both would be the same attempt twice."""
    for path in attempts(folder).values():
        with contextlib.suppress(JournalError):
            home = Path((header(path) or {}).get("folder", folder))
            if (home / path.name).exists() and not (home / path.name).samefile(path):
                return home
    return None


def next_attempt(folder: Path) -> int:
    """Return the number of an attempt that begins now, also where journals of earlier ones were removed: their locks stay."""
    locks = [path.stem for path in folder.glob("*.lock") if path.stem.isdigit()]
    return max([*attempts(folder), *map(int, locks)], default=0) + 1


def lock_of(path: Path) -> Path:
    """Return the lease that the writer of a journal holds."""
    return path.with_suffix(".lock")
