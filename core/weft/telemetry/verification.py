"""Holds journals against a store of MLflow, row by row: what is missing, what is there twice, what is damaged or refused."""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weft.errors import ConfigError, JournalError, TrackingError
from weft.telemetry import journal, lease
from weft.telemetry.client import Store
from weft.telemetry.delivery import cut_params
from weft.telemetry.names import Names
from weft.telemetry.progress import DONE
from weft.telemetry.redaction import REDACTED
from weft.telemetry.spool import Pointer, Spool
from weft.telemetry.store import LARGEST, check_there
from weft.telemetry.tracker import Status


@dataclass
class Finding:
    """What a run's journals and the store agree and differ in. `points` counts those in the journals."""

    folder: Path
    name: str = ""
    run_id: str | None = None
    status: str | None = None
    points: int = 0
    missing: int = 0
    doubled: int = 0
    refused: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    under_way: bool = False

    @property
    def is_right(self) -> bool:
        """Whether all of it is there, once."""
        return not (self.missing or self.doubled or self.refused or self.problems or self.under_way)


@dataclass
class _Expected:
    """What the journals of a run say should be in the store."""

    points: set[tuple[str, int, int, float]] = field(default_factory=set)
    params: dict[str, str] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    status: str | None = None
    adopted: bool = False
    names: Names = field(default_factory=Names)


def verify(folder: Path, uri: str | None) -> Finding:
    """Hold the journals of a run's folder against a store, by default the one that they were written for.

    Raises:
        ConfigError: its password was not written, or there is no such database.
        TrackingError: the store can't be reached.
    """
    finding = Finding(folder)
    try:
        place = uri or home_of(folder)
    except JournalError as error:
        finding.problems.append(str(error))
        return finding
    if place is None:
        finding.under_way = any(lease.held(journal.lock_of(path)) for path in journal.attempts(folder).values())
        return finding
    check_there(place)
    spool, store = Spool(place), Store(place)
    expected, last = _Expected(adopted=min(journal.attempts(folder), default=1) > 1), None
    for number, path in journal.attempts(folder).items():
        try:
            last = _read(path, number, expected, finding) or last
        except (JournalError, sqlite3.Error) as error:
            finding.problems.append(str(error))
            continue
        if last is not None:
            _ask_spool(spool, last, finding)
    if last is None:
        return finding
    finding.points = len(expected.points)
    run = store.run_of(last.key, str(finding.run_id) if finding.run_id else None)
    if run is None:
        finding.missing = finding.points
        finding.problems.append("not in the store")
        return finding
    finding.run_id, finding.status = run.info.run_id, run.info.status
    if run.info.lifecycle_stage != "active":
        finding.problems.append(f"deleted in the store (mlflow runs restore --run-id {run.info.run_id} brings it back)")
    _compare(store, run, expected, finding)
    return finding


def verify_all(folders: Sequence[Path], uri: str | None) -> Iterator[Finding]:
    """Verify the journals of several folders. A store that can't be asked is a problem of its own runs, and is asked once.

    Raises:
        ConfigError, TrackingError: of the only store.
    """
    away: dict[str | None, str] = {}
    for folder in folders:
        place = uri
        try:
            with contextlib.suppress(JournalError):
                place = uri or home_of(folder)
            if place in away:
                raise TrackingError(away[place])
            finding = verify(folder, uri)
        except (ConfigError, TrackingError) as error:
            if uri is not None or len(folders) == 1:
                raise
            if place is not None:
                away[place] = str(error)
            finding = Finding(folder, problems=[str(error)])
        yield finding


def _read(path: Path, number: int, expected: _Expected, finding: Finding) -> Pointer | None:
    """Take in one journal; return whose it is, None where it was begun and not a word was written."""
    header = journal.header(path)
    if header is None:
        finding.under_way = lease.held(journal.lock_of(path))
        return None
    acknowledged = lease.count(journal.lock_of(path))
    whole = 0
    keys = {place: [expected.names[key] for key in names] for place, names in journal.series(path).items()}
    expected.status = None
    last = 0
    for entry in journal.entries(path, lambda damage: finding.problems.append(f"{path.name} is damaged {damage}")):
        last = entry.seq
        whole += 1
        if entry.kind == "row":
            names = keys.get(entry.series)
            if names is None:
                whole -= 1
                continue
            expected.points.update(
                (key, entry.step, entry.at, _as_stored(value)) for key, value in zip(names, entry.values, strict=True)
            )
        elif entry.kind == "open":
            finding.name = entry.told["name"]
            expected.adopted |= entry.told["run_id"] is not None
            expected.params = {**cut_params(entry.told["params"]), **expected.params}
        elif entry.kind == "artifact":
            told = entry.told
            expected.files.update(_files(journal.moved(path, header, told["path"]), told["folder"]))
        elif entry.kind == "end":
            expected.status = entry.told["status"]
    written = max(last, acknowledged)
    if whole < written:
        finding.problems.append(f"{path.name}: {written - whole} of {written} entries are lost")
    if expected.status is None:
        lock = journal.lock_of(path)
        finding.under_way = lease.held(lock)
        expected.status = "RUNNING" if finding.under_way else Status.KILLED if lease.word(lock) else Status.FAILED
    return Pointer(header["key"], number, path)


def _ask_spool(spool: Spool, pointer: Pointer, finding: Finding) -> None:
    """Add what who ships has to tell."""
    progress = spool.progress_of(pointer)
    finding.run_id = progress.run_id or finding.run_id
    finding.refused += [f"{what}: {why}" for _, what, why in spool.dead_letters(pointer)]
    if progress.said:
        finding.problems.append(f"{progress.state}: {progress.said}")
    elif progress.state != DONE and not finding.under_way:
        finding.problems.append(f"shipped up to entry {progress.cursor}, and not done")


def _compare(store: Store, run: Any, expected: _Expected, finding: Finding) -> None:
    stored: set[tuple[str, int, int, float]] = set()
    rows = 0
    for key, value, step, at in store.stored_points(run.info.run_id, sorted({point[0] for point in expected.points})):
        rows += 1
        stored.add((key, step, at, _as_stored(value)))
    finding.missing = len(expected.points - stored)
    # In a run that was there before these journals, others have their points too.
    finding.doubled = 0 if expected.adopted else rows - len(stored & expected.points)
    for name, text in expected.params.items():
        if run.data.params.get(name) != text and f"weft.changed.{name}" not in run.data.tags:
            finding.problems.append(f"param {name} is {run.data.params.get(name)!r}, not {text!r}")
    if run.info.status != expected.status:
        finding.problems.append(f"status is {run.info.status}, not {expected.status}")
    for path, size in expected.files.items():
        there = store.artifact_size(run.info.run_id, path)
        if there != size:
            finding.problems.append(
                f"artifact {path} " + ("isn't there" if there is None else f"has {there} bytes, not {size}")
            )


def _files(path: str, folder: str) -> dict[str, int]:
    """Return the files of an artifact as the store names them, with their sizes, as far as they are there still."""
    source = Path(path)
    if source.is_dir():
        found = [file for file in source.rglob("*") if file.is_file()]
        return {os.path.join(folder, file.relative_to(source)): file.stat().st_size for file in found}
    return {os.path.join(folder, source.name): source.stat().st_size} if source.is_file() else {}


def _as_stored(value: float) -> float:
    """Return a value as MLflow's tables hold it; for NaN, which equals nothing, a number that isn't any of theirs."""
    if math.isnan(value):
        return math.inf
    return math.copysign(LARGEST, value) if math.isinf(value) else value + 0.0


def folders(root: Path) -> list[Path]:
    """Return the folders in and below one that hold journals; what lies below one of them is an artifact of that run.

    Raises:
        ConfigError: a folder can't be read: what it holds would be left out.
    """

    def refuse(error: OSError) -> None:
        raise ConfigError(f"{error.filename}: can't be read ({error.strerror})")

    found = []
    for place, inner, files in os.walk(root, onerror=refuse):
        if any(name.endswith(journal.SUFFIX) for name in (*files, *inner)):
            found.append(Path(place))
            inner.clear()
    return sorted(found)


def home_of(folder: Path) -> str | None:
    """Return the store that the journals of a run were written for; None where they were begun and not a word was written.

    Raises:
        JournalError: they can't be read.
        ConfigError: its password was not.
    """
    for path in journal.attempts(folder).values():
        header = journal.header(path)
        if header is not None:
            if REDACTED in header["store"]:
                raise ConfigError(f"--uri: {path} was written for {header['store']}: give the address with its password")
            return str(header["store"])
    return None
