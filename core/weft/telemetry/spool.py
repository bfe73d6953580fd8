"""A store's spool: which journals are for it, how far each has been shipped, and the lock of who ships them.

    journals/KEY.ATTEMPT   a file for each journal that is not done with: the path of the journal
    progress.db            how far each has come, and what was refused; written by who ships, read by who asks
    lock                   held by who ships
    shipper.log            what that process printed last

All of it can be lost: a journal that is shipped again from its start adds nothing to what arrived before. An SQLite store has
its spool beside it; that of any other is in the user's folder for such things.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import platformdirs

from weft.telemetry import journal, progress
from weft.telemetry.progress import Progress
from weft.telemetry.store import absolute_uri, database_file

_PAUSE = 0.02


class Pointer(NamedTuple):
    """A journal that is for this store: the run's key, the number of the attempt, and where it is."""

    key: str
    attempt: int
    path: Path


class Spool:
    """The spool of a store.

    Args:
        uri: of the store; an SQLite path is relative to the current directory.
    """

    def __init__(self, uri: str):
        self.uri = absolute_uri(uri)
        database = database_file(self.uri)
        if database is not None:
            self.folder = database.with_name(f"{database.name}.spool")
        else:
            name = hashlib.sha256(self.uri.encode()).hexdigest()[:16]
            self.folder = platformdirs.user_state_path("weft") / "spools" / name
        self.lock = self.folder / "lock"
        self.log = self.folder / "shipper.log"
        self._progress = self.folder / "progress.db"

    def register(self, pointer: Pointer) -> None:
        """Have a journal shipped, by who ships or will."""
        folder = self.make() / "journals"
        beside = folder / f".{pointer.key}.{os.getpid()}"
        beside.write_bytes(os.fsencode(pointer.path.absolute()))
        beside.replace(folder / f"{pointer.key}.{pointer.attempt}")

    def forget(self, pointer: Pointer) -> None:
        """Be done with a journal."""
        (self.folder / "journals" / f"{pointer.key}.{pointer.attempt}").unlink(missing_ok=True)

    def is_pending(self, pointer: Pointer) -> bool:
        """Whether a journal is not done with."""
        return (self.folder / "journals" / f"{pointer.key}.{pointer.attempt}").exists()

    def pending(self) -> list[Pointer]:
        """Return the journals that are not done with, each run's attempts in their order. A file that was not written to its
        end, by a process or a machine that went down, is none."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for file in (self.folder / "journals").iterdir():
                key, _, attempt = file.name.rpartition(".")
                if key and attempt.isdigit() and not key.startswith("."):
                    with contextlib.suppress(FileNotFoundError):
                        path = Path(os.fsdecode(file.read_bytes()))
                        if path.is_absolute() and path.suffix == journal.SUFFIX:
                            found.append(Pointer(key, int(attempt), path))
        return sorted(found)

    def changed(self) -> int:
        """Return when a journal was registered or forgotten last, in nanoseconds; 0 where there never was one."""
        try:
            return (self.folder / "journals").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def progress_of(self, pointer: Pointer) -> Progress:
        """Return how far a journal has come, as far as who ships has told."""
        return progress.of(self._progress, pointer.key, pointer.attempt)

    def said(self, since: float = 0.0) -> str:
        """Return what is wrong with the store, as far as who ships has found since then, empty when nothing is."""
        return progress.said(self._progress, since)

    def dead_letters(self, pointer: Pointer) -> list[tuple[int, str, str]]:
        """Return what the store refused for good: the entry's seq, what it was, and the reason."""
        return progress.dead_letters(self._progress, pointer.key, pointer.attempt)

    def wait(
        self, pointer: Pointer, seconds: float, since: float = 0.0, meanwhile: Callable[[], object] = lambda: None
    ) -> Progress:
        """Wait until a journal is done with, or who ships has said since then what is wrong, at most so long; call `meanwhile`
        again and again."""
        deadline = time.monotonic() + seconds
        while True:
            meanwhile()
            if not self.is_pending(pointer) or time.monotonic() >= deadline or self.said(since):
                return self.progress_of(pointer)
            time.sleep(_PAUSE)

    def drain(self, seconds: float) -> None:
        """Wait until all journals are done with, or who ships has something to say, at most so long."""
        deadline = time.monotonic() + seconds
        while self.pending() and time.monotonic() < deadline and not self.said():
            time.sleep(_PAUSE)

    def open_progress(self) -> progress.ProgressFile:
        """Open the progress to write it: for the one who holds the lock.

        Raises:
            TrackingError: it can't be opened now.
        """
        self.make()
        return progress.ProgressFile(self._progress)

    def make(self) -> Path:
        """Make the folders where they are not there; return the spool's.

        Raises:
            OSError: they can't be made.
        """
        for folder in (self.folder, self.folder / "journals"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.folder
