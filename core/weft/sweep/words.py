"""What a sweep and its processes say to each other. Nothing here imports torch: the parent does without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weft.configuration import Configuration

MACHINE = "weft.sweep.probe:machine"
PROBE = "weft.sweep.probe:probe"
PERFORM = "weft.sweep.job:perform"
"""What a process is told to do; see there."""


@dataclass(frozen=True)
class Work:
    """A job as another process, or another machine, needs it: the whole configuration as plain values, the overrides that it
    came from, the folder it is to have, whether it was begun there before, and whether it `asks` after each epoch if it should
    end."""

    config: Mapping[str, Any]
    overrides: tuple[str, ...]
    folder: Path
    resume: bool = False
    asks: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a job is, and its last score."""

    step: int
    total: int
    epoch: int
    objective: str
    score: float | None


@dataclass(frozen=True)
class Facts:
    """What trying a job has told.

    `digest` is of its data, `parameters` the number of its weights, `memory` what a step takes in bytes beyond what a process
    has anyway, `step_seconds` what it takes (None where it is long). `code` has a digest of each source file that a chosen
    component is of. `objective` is as `min:valid/loss`.
    """

    digest: str
    device: str
    threads: int
    torch: str
    parameters: int
    memory: int
    step_seconds: float | None
    steps_an_epoch: int
    objective: str
    code: Mapping[str, str] = field(default_factory=dict)

    def seconds(self, wanted: Configuration) -> float | None:
        """Return how long a job of this kind takes, by estimate."""
        steps = wanted.settings.steps or wanted.settings.epochs * self.steps_an_epoch
        return None if self.step_seconds is None else steps * self.step_seconds


@dataclass(frozen=True)
class Refused:
    """Why a job can't be."""

    reason: str
