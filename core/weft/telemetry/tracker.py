"""A tracker: where a run's settings, numbers and files go, in six verbs; and its twin in memory, for tests.

Nothing above this file knows what stands behind a tracker. Values are numbers by the time they come here.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol


class Status(StrEnum):
    """How a run ended, in MLflow's words."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


STEPS = range(-(2**63), 2**63)
"""Steps that a row can have: those that a database's integers can be."""


class Row(NamedTuple):
    """Values of several series at one step. `timestamp` is in milliseconds since 1970; a value may be NaN or infinite."""

    step: int
    timestamp: int
    keys: Sequence[str]
    values: Sequence[float]


@dataclass(frozen=True)
class DatasetInput:
    """The data a run was given, as MLflow shows it: `profile` holds what is worth reading, such as the split sizes."""

    name: str
    digest: str
    source: str
    profile: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Opening:
    """What a run says of itself before its first step.

    `key` is the run's own name for itself, by which the store knows it again: it is the tag `weft.key` there, and who opens a
    run with the key of another goes on in that one, whose params stay. So it does with `run_id`, the store's name for a run.
    """

    name: str
    experiment: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: DatasetInput | None = None
    run_id: str | None = None
    key: str = field(default_factory=lambda: uuid.uuid4().hex)


class Tracker(Protocol):
    """Takes what one run reports, in the order: start, perhaps rewind, any of log, tag, artifact and model, end."""

    @property
    def run_id(self) -> str:
        """The store's name for this run; waits until the store has given it."""
        ...

    @property
    def known_id(self) -> str | None:
        """The same, where it is known by now."""
        ...

    def start(self, opening: Opening) -> None:
        """Open the run. Returns before the store has answered."""
        ...

    def log(self, rows: Sequence[Row]) -> None:
        """Take these rows. When it returns they outlive this process, unless the disk fails.

        Raises:
            UserError: a value is no number, or a step no integer of 64 bits.
        """
        ...

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags; a later value replaces an earlier one."""
        ...

    def artifact(self, path: Path, folder: str = "") -> None:
        """Keep a file, or all files of a folder, under `folder` of the run. What is in the run's own folder must stay there."""
        ...

    def rewind(self, step: int) -> None:
        """Expect what an earlier attempt has reported of this step and later ones to come again. It is not recorded twice."""
        ...

    def model(self, path: Path, registered: str | None = None) -> None:
        """Keep the run's model, the folder that `saved.write` wrote, as a model that the store can serve: also as a version of
        the `registered` one. What is in the folder now is kept."""
        ...

    def end(self, status: Status) -> None:
        """Close the run.

        Raises:
            TrackingError: something could not be kept; the message says what.
        """
        ...


class MemoryTracker:
    """Keeps everything in lists, for tests and for runs that want no store."""

    def __init__(self) -> None:
        self.opening: Opening | None = None
        self.rows: list[Row] = []
        self.tags: dict[str, str] = {}
        self.artifacts: list[tuple[str, Path]] = []
        self.models: list[tuple[Path, str | None]] = []
        self.status: Status | None = None

    @property
    def run_id(self) -> str:
        return "memory"

    @property
    def known_id(self) -> str | None:
        return self.run_id

    def start(self, opening: Opening) -> None:
        self.opening = opening
        self.tags.update(opening.tags)

    def log(self, rows: Sequence[Row]) -> None:
        self.rows.extend(rows)

    def tag(self, tags: Mapping[str, str]) -> None:
        self.tags.update(tags)

    def artifact(self, path: Path, folder: str = "") -> None:
        self.artifacts.append((folder, path))

    def rewind(self, step: int) -> None:
        self.rows = [row for row in self.rows if row.step < step]

    def model(self, path: Path, registered: str | None = None) -> None:
        self.models.append((path, registered))

    def end(self, status: Status) -> None:
        self.status = status

    def series(self, key: str) -> list[tuple[int, float]]:
        """Return one series as (step, value) pairs, in the order they came."""
        return [(row.step, value) for row in self.rows for name, value in zip(row.keys, row.values, strict=True) if name == key]

    def keys(self) -> set[str]:
        """Return the names of all series."""
        return {key for row in self.rows for key in row.keys}
