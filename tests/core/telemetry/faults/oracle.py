"""What became of rounds: every acknowledged point is in MLflow once, no other is there twice, the status is true.

The points are read from MLflow's own tables by SQLite, and not through weft; `weft verify` has its own say beside that.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from unittest import mock

from tests.core.telemetry.conftest import ship
from tests.core.telemetry.faults.forge import KEYS, Job, value
from weft.errors import JournalError
from weft.telemetry import journal, shipping, syncing, verification
from weft.telemetry.client import Store
from weft.telemetry.store import database_file
from weft.telemetry.verification import Finding


@dataclass
class Round:
    """One trainer's life: what it printed. `acknowledged` counts steps, each a point of every key."""

    job: Job
    acknowledged: int = 0
    waiting: int = 0
    began: bool = False
    ending: bool = False
    ended: bool = False
    code: int = 0
    pid: int = 0
    killed: bool = False
    warned: list[str] = field(default_factory=list)
    raised: list[str] = field(default_factory=list)

    def take(self, line: str) -> bool:
        """Take in a line; return whether it was the last."""
        word, _, rest = line.strip().partition(" ")
        match word:
            case "acknowledged":
                self.began = True
                self.acknowledged, self.waiting = int(rest), 0
            case "waiting":
                self.waiting = int(rest)
            case "warned":
                self.warned.append(rest)
            case "raised":
                self.raised.append(rest)
            case "ending":
                self.ending = True
            case "ended":
                self.ended = True
            case "pid":
                self.pid = int(rest)
            case "exit":
                self.code = int(rest)
                return True
        return False


@dataclass
class Verdict:
    """What the rounds came to. `wrong` names each thing that is not as it was promised."""

    rounds: int = 0
    acknowledged: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    damaged: int = 0
    wrong: list[str] = field(default_factory=list)

    def __iadd__(self, other: Verdict) -> Verdict:
        for name in ("rounds", "acknowledged", "stored", "lost", "doubled", "damaged", "wrong"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


def judge(rounds: Sequence[Round], uri: str, damaged: bool = False) -> Verdict:
    """Ship all that the trainers left, and hold it against what they were told is safe.

    Args:
        damaged: the journals were tampered with: what was lost must be named instead.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's imports
        return _judged(rounds, uri, damaged)


def _judged(rounds: Sequence[Round], uri: str, damaged: bool) -> Verdict:
    verdict = Verdict()
    folders = {Path(done.job.folder): done for done in rounds}
    if not damaged:
        for folder in folders:
            verdict.wrong += [f"{path}: {told}" for path in journal.attempts(folder).values() for told in integrity(path)]
    problems = shipped([*folders], uri)
    if not damaged:
        verdict.wrong += problems
    for folder, done in folders.items():
        _judge(folder, done, uri, damaged, verdict)
    return verdict


def _judge(folder: Path, done: Round, uri: str, damaged: bool, verdict: Verdict) -> None:
    finding = verified(folder, uri)
    points, run_status = stored(uri, finding)
    counts = Counter(points)
    told = [
        point for step in range(done.job.first, done.acknowledged) for point in ((key, step, value(key, step)) for key in KEYS)
    ]
    lost = [point for point in told if point not in counts]
    possible = {
        (key, step, value(key, step)) for step in range(done.job.first + done.job.flushes * done.job.rows) for key in KEYS
    }
    verdict.rounds += 1
    verdict.acknowledged += len(told)
    verdict.stored += len(points)
    verdict.doubled += sum(count - 1 for count in counts.values())
    where = f"{folder}: "
    verdict.wrong += [f"{where}{point} is not what was logged" for point in counts if point not in possible][:3]
    if damaged:
        verdict.damaged += bool(finding.problems)
        if lost and not any(re.search("damage|lost|can't be read|no journal", told) for told in finding.problems):
            verdict.lost += len(lost)
            verdict.wrong.append(f"{where}{len(lost)} points are lost in silence: {finding}")
        return
    verdict.lost += len(lost)
    if lost:
        verdict.wrong.append(f"{where}{len(lost)} acknowledged points are lost, the first {lost[0]}: {done}")
    if not finding.is_right:
        verdict.wrong.append(f"{where}{finding}")
    expected = (
        {"FINISHED"} if done.ended else {"FINISHED", "FAILED"} if done.ending else {"FAILED"} if told else {"FAILED", None}
    )
    if run_status not in expected:
        verdict.wrong.append(f"{where}status is {run_status}, not {expected}: {done}")


def integrity(path: Path) -> list[str]:
    """Return what SQLite finds wrong with a journal. It is a copy that is looked at: SQLite mends what it opens."""
    with tempfile.TemporaryDirectory() as place:
        for end in ("", "-wal", "-journal"):
            if path.with_name(path.name + end).exists():
                shutil.copy(f"{path}{end}", place)
        with contextlib.closing(sqlite3.connect(Path(place) / path.name)) as connection:
            return [told for (told,) in connection.execute("PRAGMA integrity_check") if told != "ok"]


def shipped(folders: Sequence[Path], uri: str) -> list[str]:
    """Have what the folders hold shipped, as `weft sync` does, but in this process; return what went wrong."""
    begun = [folder for folder in folders if any(map(_is_begun, journal.attempts(folder).values()))]
    with mock.patch.object(shipping, "ensure", partial(_ship_here, uri)), mock.patch.object(syncing, "Store", opened):
        return syncing.sync(begun, uri).problems


def _ship_here(uri: str, spool: object) -> None:
    ship(uri)


def _is_begun(path: Path) -> bool:
    try:
        return journal.header(path) is not None
    except JournalError:
        return True


def verified(folder: Path, uri: str) -> Finding:
    """Return what `weft verify` finds."""
    with mock.patch.object(verification, "Store", opened):
        return verification.verify(folder, uri)


@lru_cache(maxsize=2)
def opened(uri: str) -> Store:
    """Return a store, opened once."""
    return Store(uri)


def stored(uri: str, finding: Finding) -> tuple[list[tuple[str, int, float]], str | None]:
    """Return the points and the status of a run, from MLflow's tables; None where there is no run."""
    with _reading(uri) as connection:
        points = connection.execute(
            "SELECT key, step, value FROM metrics WHERE run_uuid = ? AND NOT is_nan", (finding.run_id,)
        ).fetchall()
        status = connection.execute("SELECT status FROM runs WHERE run_uuid = ?", (finding.run_id,)).fetchone()
    return points, status and status[0]


@contextlib.contextmanager
def _reading(uri: str) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(str(database_file(uri)))) as connection:
        yield connection


Judge = Callable[..., Verdict]
