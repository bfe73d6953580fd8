"""A tracker that keeps a journal in the run's folder, for another process to ship. It waits for no store, nor imports mlflow.

A disk that is full or fails doesn't stop the training: what can't be written waits in memory, so much of it and no more, and is
written when the disk takes it again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import sqlite3
import struct
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from weft.errors import TrackingError, WeftError
from weft.telemetry import journal, lease, shipping
from weft.telemetry.journal import Event, Journal
from weft.telemetry.progress import PARKED, SHIPPING, Progress
from weft.telemetry.redaction import redact
from weft.telemetry.spool import Pointer, Spool
from weft.telemetry.store import shown
from weft.telemetry.tracker import DatasetInput, Opening, Row, Status

log = logging.getLogger("weft")

_MOST_WAITING = 500_000
"""Values that wait in memory for a disk that fails; some 20 MB."""
_AT_ONCE = 1000
"""Rows of those that are written at once when it is tried again: a try may fail, and training stands still so long."""
_RETRY = 1.0
_SYNCHRONIZE = 1.0
_LOOK_AFTER_SHIPPER = 5.0
_VARYING = "system/"
"""Begins the names of series that a repeated step need not repeat."""


class JournalTracker:
    """Takes what one run reports, into a journal.

    Args:
        folder: of the run; a journal for each attempt at it is kept there.
        uri: of the store that it is shipped to; an SQLite path is relative to the current directory.
        artifact_root: folder that a new experiment's artifacts go into, by default `artifacts` beside an SQLite file; a
            tracking server has its own.
        strict: raise when the disk fails.
        wait: seconds that `end` waits at most for all of it to be in the store.
    """

    def __init__(
        self, folder: Path, uri: str, artifact_root: Path | None = None, strict: bool = False, wait: float = 2.0
    ) -> None:
        self._folder = folder.absolute()
        self._spool = Spool(uri)
        self._artifact_root = artifact_root and artifact_root.absolute()
        self._strict = strict
        self._wait = wait
        self._guard = threading.RLock()
        self._waiting: list[Row | Event] = []
        self._weight = 0
        self._dropped = 0
        self._failure = ""
        self._retry_at = 0.0
        self._repeats: dict[tuple[str, int], list[bytes]] = {}
        self._last_repeat = -1
        self._diverged = False
        self._registered = 0.0
        self._warned: set[str] = set()
        self._journal: Journal | None = None
        self._lost = "the run was not started"
        self._ended = threading.Event()

    @property
    def run_id(self) -> str:
        """The store's name for this run; waits until all of an ended run is there, or of one under way until it is begun.

        Raises:
            TrackingError: the store doesn't take it; says why.
        """
        self._begun()
        while True:
            known = self._progress()
            pending = self._spool.is_pending(self._pointer)
            if known.run_id is not None and not (pending and self._ended.is_set()) and known.state != PARKED:
                return known.run_id
            if told := self._spool.said(self._registered) or (not pending and known.said):
                raise TrackingError(f"{told} (all of it is kept in {self._folder}; `weft sync` ships it)")
            self._have_shipped()
            time.sleep(0.02)

    @property
    def known_id(self) -> str | None:
        """The store's name for this run, where it is known by now."""
        return self._progress().run_id if self._journal is not None else None

    @property
    def waiting(self) -> int:
        """How many entries wait in memory for a disk that fails. They are not acknowledged."""
        return len(self._waiting)

    def start(self, opening: Opening) -> None:
        """Open the run.

        Raises:
            TrackingError: no journal can be kept in its folder, or nobody can ship it.
        """
        with self._spool_told():
            self._spool.make()
        try:
            kept = self._journal = self._kept(opening)
        except (OSError, sqlite3.Error) as error:
            raise TrackingError(f"no journal can be kept in {self._folder}: {error}") from None
        if kept.network:
            log.warning(
                "%s is on a network file system (%s): its journal is kept in a slower way; a local disk is better",
                *(self._folder, kept.network),
            )
        self._lost = ""
        self._note_written(kept)
        _alive.add(self)
        threading.Thread(target=self._keep, daemon=True, name="weft journal").start()
        with self._spool_told():
            self._spool.register(self._pointer)
            self._registered = time.time()
            shipping.ensure(self._spool)

    def log(self, rows: Sequence[Row]) -> None:
        """Take these rows. When it returns they outlive this process, unless the disk fails.

        Raises:
            UserError: a value is no number, or a step no integer of 64 bits; none of the rows was taken.
            TrackingError: the disk fails and `strict` was asked for, or the run is not under way in this process.
        """
        self._take([row for row in map(self._unrepeated, rows) if row.keys] if self._repeats else rows)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags; a later value replaces an earlier one."""
        self._take([Event("tags", _redacted(tags))])

    def artifact(self, path: Path, folder: str = "") -> None:
        """Keep a file, or all files of a folder, under `folder` of the run. What is in the run's own folder must stay there."""
        self._take([Event("artifact", {"path": str(path.absolute()), "folder": folder})])

    def model(self, path: Path, registered: str | None = None) -> None:
        """Keep the run's model as a model of the store, also as a version of the `registered` one. Its files are kept for this
        attempt, by a second name: one that goes on for longer puts others in their place."""
        kept = self._folder / f"{self._pointer.attempt}.model"
        kept.mkdir(exist_ok=True)
        for file in sorted(path.iterdir()):
            try:
                os.link(file, kept / file.name)
            except OSError:  # of another disk, or of one that knows no second names
                shutil.copy2(file, kept)
        self._take([Event("model", {"path": str(kept), "registered": registered})])

    def rewind(self, step: int) -> None:
        """Expect what earlier attempts have reported of this step and later ones to come again, and don't record it twice. A
        value that comes out differently is recorded beside the first, and a tag tells of it."""
        for number, path in journal.attempts(self._folder).items():
            if number < self._pointer.attempt:
                try:
                    self._expect(journal.rows(path, step))
                except sqlite3.Error as error:
                    log.warning("%s: %s; what it holds may be recorded twice", path, error)

    def _expect(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._last_repeat = max(self._last_repeat, row.step)
            for key, value in zip(row.keys, row.values, strict=True):
                self._repeats.setdefault((key, row.step), []).append(_bits(value))

    def end(self, status: Status) -> None:
        """Close the run. Waits a little for the store, and says what is still on its way then.

        Raises:
            TrackingError: the disk did not take all of it; the message says how much is lost.
        """
        kept = self._begun()
        with self._guard:
            if self._lost:
                raise TrackingError(self._lost)
            try:
                self._take_at_once([Event("end", {"status": str(status)}, time.time_ns() // 1_000_000)])
                if self._waiting:  # there is no later, and the disk may have failed for a moment only
                    self._take_at_once([])
            finally:
                lost = len(self._waiting) + self._dropped
                self._close(kept)
        if lost:
            raise TrackingError(f"{lost} entries could not be kept in {kept.path}: {self._failure}")
        known = self._spool.wait(self._pointer, self._wait, self._registered, self._see_to_shipping)
        if told := self._spool.said(self._registered) or known.said:
            log.warning("%s (all of it is kept in %s; `weft sync` ships it)", told, self._folder)
        if refused := self._spool.dead_letters(self._pointer):
            _, what, why = refused[0]
            more = f", and {len(refused) - 1} more" if refused[1:] else ""
            log.warning("%s refused %s: %s%s (`weft verify` lists all)", shown(self._spool.uri), what, why, more)

    @contextlib.contextmanager
    def _spool_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrackingError(f"nothing can be shipped to {shown(self._spool.uri)}: {error}") from None

    def _have_shipped(self) -> None:
        """See that somebody ships: who did may have been killed a moment ago, and the spool been lost.

        Raises:
            OSError: the spool can't be written.
            TrackingError: no process can be started, or one that was has failed.
        """
        if not self._spool.is_pending(self._pointer) and self._progress().state == SHIPPING:
            self._spool.register(self._pointer)
        shipping.ensure(self._spool)

    def _see_to_shipping(self) -> None:
        try:
            self._have_shipped()
        except (OSError, TrackingError) as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        """Tell of what goes wrong beside the training, once."""
        if str(error) not in self._warned:
            log.warning("%s, shipped to %s: %s", self._begun().path, shown(self._spool.uri), error)
            self._warned.add(str(error))

    def _kept(self, opening: Opening) -> Journal:
        self._folder.mkdir(parents=True, exist_ok=True)
        number = journal.next_attempt(self._folder)
        path = self._folder / f"{number}{journal.SUFFIX}"
        self._lease = lease.Lease(journal.lock_of(path))
        self._pointer = Pointer(opening.key, number, path)
        writer = {
            "folder": str(self._folder),
            "store": shown(self._spool.uri),
            "pid": os.getpid(),
            "host": socket.gethostname(),
        }
        try:
            return Journal(path, {"key": opening.key, "attempt": number, **writer}, [Event("open", self._opened(opening))])
        except BaseException:
            self._lease.release()
            raise

    def _close(self, kept: Journal) -> None:
        self._ended.set()
        self._lost = "the run has ended"
        kept.close()
        with contextlib.suppress(OSError):
            kept.synchronize()  # where a reader kept it from being brought into the database, which would have done so
        _alive.discard(self)  # first: a signal's handler writes to the leases of those that are there
        self._lease.release()

    def _opened(self, opening: Opening) -> dict[str, Any]:
        return {
            "name": redact("name", opening.name),
            "experiment": opening.experiment,
            "params": _redacted(opening.params),
            "tags": _redacted(opening.tags),
            "dataset": opening.dataset and _dataset(opening.dataset),
            "run_id": opening.run_id,
            "key": opening.key,
            "time": time.time_ns() // 1_000_000,
            "artifact_root": self._artifact_root and str(self._artifact_root),
        }

    def _begun(self) -> Journal:
        if self._journal is None:
            raise TrackingError(self._lost)
        return self._journal

    def _take_at_once(self, items: Sequence[Row | Event]) -> None:
        self._retry_at = min(self._retry_at, time.monotonic())
        self._take(items)

    def _take(self, items: Sequence[Row | Event]) -> None:
        """Write items, behind those that wait; or let them wait."""
        kept = self._begun()
        with self._guard:
            if self._lost:
                raise TrackingError(self._lost)
            if time.monotonic() < self._retry_at:
                self._hold(items)
                return
            try:
                while self._waiting:
                    self._write(kept, self._waiting[:_AT_ONCE])
                    self._weight -= _weight(self._waiting[:_AT_ONCE])
                    del self._waiting[:_AT_ONCE]
                self._write(kept, items)
            except sqlite3.Error as error:
                self._note_failure(str(error))
                self._hold(items)
                return
            if self._retry_at:
                self._note_recovery()

    def _write(self, kept: Journal, items: Sequence[Row | Event]) -> None:
        kept.append(items)
        self._note_written(kept)

    def _note_written(self, kept: Journal) -> None:
        """Note beside the journal how much of it is acknowledged: a journal can't tell by itself what was cut off its end."""
        with contextlib.suppress(OSError):
            self._lease.note(kept.seq)

    def _hold(self, items: Sequence[Row | Event]) -> None:
        """Keep items in memory, of rows only the latest where they are too many.

        Raises:
            UserError: one could never be written, and would stand before all that come after it.
        """
        for item in items:
            if isinstance(item, Row):
                journal.packed(item)
        self._weight += _weight(items)
        self._waiting += items
        if self._weight > _MOST_WAITING:
            kept: list[Row | Event] = []
            for item in self._waiting:
                if isinstance(item, Row) and self._weight > _MOST_WAITING * 0.9:  # not one by one: each time takes long
                    self._weight -= len(item.keys)
                    self._dropped += 1
                else:
                    kept.append(item)
            self._waiting = kept

    def _note_failure(self, error: str) -> None:
        if self._strict:
            raise TrackingError(f"{self._begun().path}: {error} (telemetry.strict=true)")
        if not self._retry_at:
            log.warning("%s: %s; the run goes on, and what it reports waits in memory", self._begun().path, error)
        self._failure, self._retry_at = error, time.monotonic() + _RETRY

    def _note_recovery(self) -> None:
        lost = f", but for {self._dropped} rows that were too many to wait" if self._dropped else ""
        log.warning("%s: can be written again; what waited has been written%s", self._begun().path, lost)
        self._retry_at = 0.0

    def _unrepeated(self, row: Row) -> Row:
        """Return a row without the values that an earlier attempt has reported, bit for bit."""
        if row.step > self._last_repeat:
            return row
        new = [
            (key, value) for key, value in zip(row.keys, row.values, strict=True) if not self._is_repeat(key, row.step, value)
        ]
        return Row(row.step, row.timestamp, [key for key, _ in new], [value for _, value in new])

    def _is_repeat(self, key: str, step: int, value: float) -> bool:
        known = self._repeats.get((key, step))
        if not known:
            return False
        bits = _bits(value)
        if bits in known:
            known.remove(bits)
            return True
        known.pop(0)
        if not self._diverged and not key.startswith(_VARYING):
            self._diverged = True
            self.tag({"weft.resume_diverged": f"{key} at step {step} came out differently"})
        return False

    def _progress(self) -> Progress:
        return self._spool.progress_of(self._pointer)

    def _keep(self) -> None:
        """Beside the training: have the disk keep what was written, and see that somebody ships it."""
        turns = 0
        while not self._ended.wait(_SYNCHRONIZE) and not self._lost:
            turns += 1
            try:
                self._begun().synchronize()
                if turns % int(_LOOK_AFTER_SHIPPER / _SYNCHRONIZE) == 0:
                    self._have_shipped()
            except (OSError, WeftError) as error:
                self._warn(error)

    def leave_to_parent(self) -> None:
        """In a fork: the run is the parent's."""
        self._lost = "a run is reported by the process that started it, not by its forks"
        self._guard = threading.RLock()
        self._begun().abandon()


_alive: weakref.WeakSet[JournalTracker] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for tracker in list(_alive):
        tracker.leave_to_parent()
    _alive.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


def note_signal(name: str) -> None:
    """Leave word in every run under way that a signal has come: one that doesn't come to its end was killed, not failed. A
    signal's handler may call it."""
    for tracker in list(_alive):
        tracker._lease.say(name)


def _weight(items: Sequence[Row | Event]) -> int:
    return sum(len(item.keys) for item in items if isinstance(item, Row))


def _bits(value: float) -> bytes:
    return struct.pack("<d", value)


def _redacted(values: Mapping[str, str]) -> dict[str, str]:
    return {key: redact(key, str(value)) for key, value in values.items()}


def _dataset(dataset: DatasetInput) -> dict[str, Any]:
    profile = {key: redact(key, value) if isinstance(value, str) else value for key, value in dataset.profile.items()}
    source = redact("source", dataset.source)
    return {"name": dataset.name, "digest": dataset.digest, "source": source, "profile": profile}
