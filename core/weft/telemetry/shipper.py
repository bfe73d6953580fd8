"""The process that ships journals to a store of MLflow: one a store, the only one that writes to it.

`python -m weft.telemetry.shipper` is told the store's URI on standard input, and ends when there has been nothing to do for
a while. It reads journals without changing them, and keeps in the spool how far it has come. It may die between any two of
its steps: what it repeats then is there already.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weft.errors import JournalError, TrackingError
from weft.telemetry import delivery, journal, lease
from weft.telemetry.client import Forbidden, Gone, Store
from weft.telemetry.delivery import Delivery
from weft.telemetry.names import Names
from weft.telemetry.progress import DONE, PARKED, SHIPPING, Progress, ProgressFile
from weft.telemetry.spool import Pointer, Spool
from weft.telemetry.store import Point, in_one_line, prepare
from weft.telemetry.tracker import Status

log = logging.getLogger("weft.shipper")

_ENTRIES = 2000  # read at once
_POINTS = 40_000  # delivered at once
_POLL = 0.1
_IDLE = 10.0
_LONGEST_PAUSE = 60.0
_PATIENCE = 1.0
_LOG_LENGTH = 1_000_000
_CLIENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # by MLflow's client: it is the one that reads Retry-After; all else is ours
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
}


class Shipment:
    """One journal on its way into the store."""

    def __init__(self, pointer: Pointer, store: Store, records: ProgressFile, progress: Progress):
        self.pointer = pointer
        self.progress = progress
        self._store = store
        self._records = records
        self._delivery: Delivery | None = None
        self._keys: dict[int, list[str]] = {}
        self._names = Names()
        self._is_begun = False
        self._header: dict[str, Any] = {}
        self._last_time = 0
        self._seq = 0
        self._lock = journal.lock_of(pointer.path)

    def move(self) -> bool:
        """Ship what has come since the last time; return whether there was anything.

        Raises:
            OutOfReach: the store doesn't answer; the next time goes on from here.
            Forbidden: it wants other credentials.
        """
        try:
            return self._move()
        except Gone as error:
            self._park(str(error))
        except (JournalError, sqlite3.Error) as error:
            if journal.is_passing(error) and os.access(self.pointer.path, os.R_OK):
                return False
            if self.progress.run_id is not None and not self.pointer.path.exists():
                self._close(Status.FAILED, "its journal is gone")
            self._park(f"{self.pointer.path}: {error}")
        except TrackingError:
            raise
        except Exception as error:  # one journal's trouble is not to end the shipping of all, again and again
            log.exception("%s", self.pointer.path)
            self._park(f"{self.pointer.path}: {type(error).__name__}: {in_one_line(error)}")
        return True

    def _move(self) -> bool:
        if not self._is_begun:
            self._begin()
        lived = self._lives()  # asked first: what was written before the end is read then
        entries, damage = journal.read(self.pointer.path, self.progress.cursor + 1, _ENTRIES)
        if entries:
            self._keys |= self._mended(journal.series(self.pointer.path, max(self._keys, default=0)))
            self._ship(entries)
        if damage is not None and (damage.next is not None or not lived):
            self._note_damage(damage)
        if not lived and ((damage is None and not entries) or (damage is not None and damage.next is None)):
            self._conclude()
        return bool(entries) or not lived or (damage is not None and damage.next is not None)

    def _lives(self) -> bool:
        try:
            return lease.held(self._lock)
        except OSError as error:
            raise JournalError(f"whether its trainer lives can't be told ({error})") from error

    def _begin(self) -> None:
        """Refuse what is no journal; learn the names that earlier attempts at this run have had."""
        self._header = journal.header(self.pointer.path) or {}
        for number, path in journal.attempts(self.pointer.path.parent).items():
            if number < self.pointer.attempt:
                with contextlib.suppress(sqlite3.Error):
                    self._mended(journal.series(path))
        self._is_begun = True

    def _mended(self, series: Mapping[int, list[str]]) -> dict[int, list[str]]:
        return {number: [self._names[key] for key in keys] for number, keys in series.items()}

    def _ship(self, entries: list[journal.Entry]) -> None:
        points: list[Point] = []
        nameless: list[int] = []
        for entry in entries:
            self._seq = entry.seq
            if entry.kind == "row":
                self._last_time = entry.at
                keys = self._keys.get(entry.series)
                if keys is None:
                    nameless.append(entry.seq)
                    continue
                points += ((key, value, entry.step, entry.at) for key, value in zip(keys, entry.values, strict=True))
                if len(points) >= _POINTS:
                    self._deliver(points)
                    points = []
            else:
                self._deliver(points)
                points = []
                self._event(entry)
                self._advance(entry.seq)
        self._deliver(points)
        if nameless:
            self._tell_damage(f"the keys of {len(nameless)} rows from entry {nameless[0]} on")
        self._advance(entries[-1].seq)

    def _deliver(self, points: list[Point]) -> None:
        if points:
            self._run().points(points)

    def _advance(self, seq: int) -> None:
        self.progress.cursor = seq
        self._records.save(self.pointer.key, self.pointer.attempt, self.progress)

    def _event(self, entry: journal.Entry) -> None:
        told = entry.told
        match entry.kind:
            case "journal":
                pass
            case "open":
                self._delivery = delivery.begin(self._store, told, self._refuse)
                self.progress.run_id = self._delivery.run_id
            case "tags":
                self._run().tags(told)
            case "artifact":
                self._run().artifact(**self._moved(told))
            case "model":
                self._run().model(**self._moved(told))
            case "end":
                self._run().end(told["status"], entry.at)
                self.progress.state = DONE
            case _:
                self._refuse(f"entry of kind {entry.kind!r}", "this weft doesn't know it")

    def _moved(self, told: dict[str, Any]) -> dict[str, Any]:
        return {**told, "path": journal.moved(self.pointer.path, self._header, told["path"])}

    def _run(self) -> Delivery:
        if self._delivery is None:
            if self.progress.run_id is None:
                raise JournalError("its opening is lost: it can't be told which run this is")
            self._delivery = delivery.resume(self._store, self.progress.run_id, self._refuse)
        return self._delivery

    def _conclude(self) -> None:
        """Say how a run ended whose process is gone without a word."""
        acknowledged = lease.count(self._lock)
        if acknowledged > self.progress.cursor:
            self._tell_damage(str(journal.Damage(self.progress.cursor + 1, acknowledged + 1, "acknowledged, and not there")))
        if self.progress.run_id is not None:
            name = lease.word(self._lock)
            how = f"was ended by {name}" if name else "ended without a word"
            self._close(Status.KILLED if name else Status.FAILED, f"the process that trained {how}")
        self.progress.state = DONE
        self._advance(self.progress.cursor)

    def _close(self, status: Status, why: str) -> None:
        self._run().tags({"weft.error": why})
        last = self._last_time
        if not last and self.pointer.path.exists():
            last = max((row.timestamp for row in journal.rows(self.pointer.path)), default=0)
        self._run().end(str(status), last or time.time_ns() // 1_000_000)

    def _note_damage(self, damage: journal.Damage) -> None:
        """Go on behind a part that can't be read, and say which it was."""
        self._seq = damage.first
        self._refuse(f"entries from {damage.first} on", damage.error)
        self._tell_damage(str(damage))
        if damage.next is not None:
            self._advance(damage.next - 1)

    def _tell_damage(self, what: str) -> None:
        if f"damaged {what}" not in self.progress.said:  # else it is met again, at the end of a journal that is still written
            self.progress.said = "; ".join(filter(None, [self.progress.said, f"damaged {what}"]))
        if self.progress.run_id is not None:
            self._run().tags({"weft.damaged": self.progress.said})

    def _park(self, why: str) -> None:
        self.progress.state, self.progress.said = PARKED, why
        self._advance(self.progress.cursor)
        log.warning("%s", why)

    def _refuse(self, what: str, why: str) -> None:
        self._records.refuse(self.pointer.key, self.pointer.attempt, self._seq, what, why)


class Shipper:
    """Ships what is in a spool. For the one process that holds its lock."""

    def __init__(self, spool: Spool, store: Store):
        self._spool = spool
        self._store = store
        self._records = spool.open_progress()
        self._shipments: dict[Pointer, Shipment] = {}
        self._order = 0

    def turn(self) -> bool | None:
        """Ship some of every journal; return whether there was anything to ship, None when no journal is left.

        Raises:
            OutOfReach: the store doesn't answer. The next turn begins with another journal, lest one stops them all.
            Forbidden: it wants other credentials.
        """
        first: dict[str, Pointer] = {}
        for pointer in self._spool.pending():
            first.setdefault(pointer.key, pointer)  # an attempt waits for the one before it
        waiting = list(first.values())
        moved = False
        for _ in range(len(waiting)):
            self._order += 1
            pointer = waiting[self._order % len(waiting)]
            shipment = self._shipment(pointer)
            moved |= shipment.progress.state == DONE or shipment.move()
            if shipment.progress.state != SHIPPING:
                self._repeat_later_attempts(pointer)
                self._spool.forget(pointer)
                del self._shipments[pointer]
        return moved if waiting else None

    def _repeat_later_attempts(self, pointer: Pointer) -> None:
        """Ship those again that were shipped before this one, which had to wait for its turn: the last has the last word."""
        for number, path in journal.attempts(pointer.path.parent).items():
            later = Pointer(pointer.key, number, path)
            known = self._spool.progress_of(later)
            if number > pointer.attempt and known.cursor:
                self._spool.register(later)  # first: the earlier one is forgotten last, and this is done again
                self._records.save(later.key, number, Progress(run_id=known.run_id))
                self._shipments.pop(later, None)

    def asked(self) -> int:
        """Return what is another number when a journal has been registered."""
        return self._spool.changed()

    def rest(self, stopped: threading.Event, seconds: float, asked: int) -> None:
        """Wait, but no longer than until somebody asks for another turn."""
        until = time.monotonic() + seconds
        while not stopped.wait(max(0.0, min(_POLL, until - time.monotonic()))):
            if time.monotonic() >= until or self.asked() != asked:
                return

    def say(self, text: str) -> None:
        """Tell what is wrong with the store, or with nothing that nothing is."""
        self._records.say(text)

    def close(self) -> None:
        """Close what is open."""
        self._records.close()

    def _shipment(self, pointer: Pointer) -> Shipment:
        if pointer not in self._shipments:
            progress = self._spool.progress_of(pointer)
            if progress.state != SHIPPING and self._store.run_of(pointer.key, progress.run_id) is None:
                progress = Progress()  # the store isn't what it was: all of it is shipped again
            elif progress.state == PARKED:  # asked for again: it may pass by now
                progress = Progress(run_id=progress.run_id, cursor=progress.cursor)
            self._shipments[pointer] = Shipment(pointer, self._store, self._records, progress)
        return self._shipments[pointer]


def serve(spool: Spool, stopped: threading.Event, idle: float = _IDLE) -> None:
    """Ship until there has been nothing to ship for `idle` seconds, or until stopped. Does nothing where another process is at
    it already."""
    while not stopped.is_set():
        try:
            hold = lease.Lease(spool.lock, patience=_PATIENCE)
        except BlockingIOError:
            return
        try:
            shipper = Shipper(spool, Store(spool.uri))
            try:
                _ship(shipper, hold, stopped, idle)
                stood = hold.stands()
            finally:
                shipper.close()
        finally:
            hold.release()
        if not stood or not spool.pending():  # else one was registered while the lock was let go
            return


def _ship(shipper: Shipper, hold: lease.Lease, stopped: threading.Event, idle: float) -> None:
    failures, quiet = 0, time.monotonic()
    shipper.say("")
    while not stopped.is_set() and hold.stands():
        asked = shipper.asked()
        try:
            moved = shipper.turn()
        except TrackingError as error:
            shipper.say(_told(error))
            shipper.rest(stopped, pause(failures, isinstance(error, Forbidden)), asked)
            failures += 1
            quiet = time.monotonic()
            continue
        if failures:
            shipper.say("")
            failures = 0
        if moved is not None:
            quiet = time.monotonic()
        elif time.monotonic() - quiet >= idle:
            return
        if not moved:
            stopped.wait(_POLL)


def pause(failures: int, forbidden: bool = False) -> float:
    """Return the seconds until the next attempt: twice as long each time, up to a minute, and less by chance, so that many
    don't come back at once. Credentials don't change by themselves: a minute."""
    return random.uniform(0.5, 1) * (_LONGEST_PAUSE if forbidden else min(_LONGEST_PAUSE, 2.0 ** (failures + 1)))


def _told(error: Exception) -> str:
    paused = "paused until the credentials are right: " if isinstance(error, Forbidden) else ""
    return paused + in_one_line(error)


def _main() -> None:
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal's affair
        signal.signal(number, signal.SIG_IGN)
    for name, value in _CLIENT.items():
        os.environ.setdefault(name, value)
    prepare()
    gc.freeze()  # what was imported is no garbage: a collection passes over it from now on
    told = json.loads(sys.stdin.read() or "null")
    if told is None:  # it was started to be warm, and nothing came of it
        return
    spool = Spool(told["uri"])
    spool.make()
    _print_to(spool.log)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    serve(spool, stopped, told.get("idle", _IDLE))


def _print_to(path: Path) -> None:
    """Have all that is printed in a file of its own, from the start where that has become long."""
    size = path.stat().st_size if path.exists() else 0
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if size > _LOG_LENGTH else 0), 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


if __name__ == "__main__":
    _main()
    os._exit(0)  # at once: until its end it would be taken for one that has yet to begin
