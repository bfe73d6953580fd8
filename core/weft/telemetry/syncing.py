"""Ships what is left in journals, to their own store or to any other, and waits for it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from weft.errors import ConfigError, JournalError, TrackingError
from weft.folder import CHECKPOINT
from weft.telemetry import journal, lease, shipping, verification
from weft.telemetry.client import Store
from weft.telemetry.progress import DONE
from weft.telemetry.spool import Pointer, Spool
from weft.telemetry.tracker import Status

_POLL = 0.1


@dataclass
class Synced:
    """What became of the journals: how many were shipped now, had been before, are of runs under way; what went wrong."""

    shipped: int = 0
    before: int = 0
    under_way: int = 0
    problems: list[str] = field(default_factory=list)


def sync(folders: Sequence[Path], uri: str | None, told: Callable[[int, int], object] = lambda done, all: None) -> Synced:
    """Ship the journals of these runs' folders to a store, by default each to its own; call `told` with how many are done.

    Raises:
        ConfigError: the only one's own store is known without its password only.
        TrackingError: the only store can't be reached. Shipping goes on by itself once it can.
    """
    result = Synced()
    by_store: dict[str, list[Pointer]] = {}
    for folder in folders:
        try:
            place = uri or verification.home_of(folder)
        except JournalError as error:
            result.problems.append(str(error))
            continue
        except ConfigError as error:
            if len(folders) == 1:
                raise
            result.problems.append(str(error))
            continue
        for number, path in journal.attempts(folder).items():
            try:
                header = journal.header(path)
            except JournalError as error:
                result.problems.append(str(error))
                continue
            if header is not None and place is not None:
                by_store.setdefault(place, []).append(Pointer(header["key"], number, path))
    for place, pointers in by_store.items():
        store = Store(place)
        try:
            _ = store.client  # raises where it can't be reached, before anything is noted
            _ship(Spool(place), store, pointers, result, told)
        except TrackingError as error:
            if len(by_store) == 1:
                raise
            result.problems.append(str(error))
    return result


def _ship(spool: Spool, store: Store, pointers: Iterable[Pointer], result: Synced, told: Callable[[int, int], object]) -> None:
    asked, begun = [], time.time()
    for pointer in pointers:
        known = spool.progress_of(pointer)
        if known.state == DONE and store.run_of(pointer.key, known.run_id) is not None:
            result.before += 1
            result.problems += [f"{pointer.path}: {known.said}"] if known.said else []
        elif lease.held(journal.lock_of(pointer.path)):
            result.under_way += 1
            spool.register(pointer)
        else:
            spool.register(pointer)
            asked.append(pointer)
    while left := [pointer for pointer in asked if spool.is_pending(pointer)]:
        told(len(asked) - len(left), len(asked))
        shipping.ensure(spool)
        if said := spool.said(begun):
            raise TrackingError(f"{said}; {len(left)} journals are left, and are tried again until they are shipped")
        time.sleep(_POLL)
    told(len(asked), len(asked))
    for pointer in asked:
        progress = spool.progress_of(pointer)
        result.shipped += progress.state == DONE
        result.problems += [f"{pointer.path}: {progress.said}"] if progress.said else []


def prune(folder: Path, uri: str | None) -> bool:
    """Remove the journals of a run of which all is in the store, by default its own; return whether they were. One that can be
    gone on with before its end keeps them: they tell which steps it repeats; so does one whose own store waits for them. The
    locks stay: attempts are counted by them.

    Raises:
        ConfigError: its own store is known without its password only.
        TrackingError: the store can't be reached.
    """
    known = journal.attempts(folder)  # one that begins meanwhile is not among them
    if uri is not None and any(_is_owed(path, number) for number, path in known.items()):
        return False
    finding = verification.verify(folder, uri)
    if not finding.is_right or (finding.status != Status.FINISHED and (folder / CHECKPOINT).exists()):
        return False
    for path in known.values():
        for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            file.unlink(missing_ok=True)
        shutil.rmtree(path.with_suffix(".model"), ignore_errors=True)
    return True


def _is_owed(path: Path, attempt: int) -> bool:
    """Whether a journal is still to be shipped to the store that it was written for, as far as that is known by its address."""
    try:
        header = journal.header(path)
    except JournalError:
        return True
    return header is not None and Spool(header["store"]).is_pending(Pointer(header["key"], attempt, path))
