"""The jobs of a sweep, the best one first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from weft.folder import Folder, runs


@dataclass(frozen=True)
class Entry:
    """One job: what was special about it, how it ended, what it reached."""

    folder: Path
    choices: dict[str, str]
    status: str
    objective: str
    score: float | None
    scores: dict[str, float]
    error: str | None
    maximize: bool = False
    reference: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> tuple[int, str]:
        """Where the job stands in its sweep."""
        name = self.folder.name
        return (int(name), "") if name.isdigit() else (0, name)

    @property
    def loss(self) -> float:
        """The score, turned so that less is better."""
        return 0.0 if self.score is None else -self.score if self.maximize else self.score


def entries(sweep: Path) -> list[Entry]:
    """Return the jobs of a sweep, best first; those without a score last. Where they went by several objectives, those of one
    stand together."""
    found = [_entry(folder, folder.record()) for folder in runs(sweep)]
    return sorted(found, key=lambda entry: (entry.score is None, entry.objective, entry.loss))


def _entry(folder: Folder, record: dict[str, object]) -> Entry:
    overrides = record.get("overrides")
    pairs = [text.lstrip("+").partition("=") for text in (overrides if isinstance(overrides, list) else [])]
    score = record.get("score")
    reference = record.get("reference")
    scores = record.get("scores")
    return Entry(
        folder=folder.path,
        choices={key: value for key, _, value in pairs if key != "sweep.name"},
        status=str(record.get("status", "?")),
        objective=str(record.get("objective") or ""),
        score=score if isinstance(score, float) and not math.isnan(score) and record.get("status") == "FINISHED" else None,
        scores=scores if isinstance(scores, dict) else {},
        error=str(record["error"]) if record.get("error") else None,
        maximize=bool(record.get("maximize")),
        reference=reference if isinstance(reference, dict) else {},
    )


def comparison(found: Sequence[Entry]) -> Table:
    """Return the jobs that have a reference as a table, in the order they ran in: what each should reach, what it did."""
    held = [entry for entry in found if entry.reference]
    met = sum(bool(entry.reference["met"]) for entry in held)
    shown = Table(title=f"{met} of {len(held)} met their reference", title_justify="left", title_style="bold")
    for name in (*(differing := _differing(found)), "score", "reference", "source"):
        shown.add_column(name, overflow="fold")
    shown.add_column("reached", justify="right")
    shown.add_column("")
    for entry in sorted(held, key=lambda entry: entry.place):
        given = entry.reference
        texts = (*(entry.choices.get(key, "") for key in differing), given["score"], given["wanted"], given["source"])
        reached = "" if given["reached"] is None else f"{given['reached']:.4f}"
        unmet = "not met" if entry.status == "FINISHED" else entry.status.lower()
        shown.add_row(*map(escape, texts), reached, "[green]met[/]" if given["met"] else f"[red]{unmet}[/]")
    return shown


def _differing(found: Sequence[Entry]) -> list[str]:
    """Return the keys whose values aren't the same in all jobs."""
    keys = dict.fromkeys(key for entry in found for key in entry.choices)
    return [key for key in keys if len({entry.choices.get(key) for entry in found}) > 1]


def table(found: Sequence[Entry], most: int = 30) -> Table:
    """Return the first of them as a table: what differs between the jobs, the objective, the test split's scores."""
    differing = _differing(found)
    tests = sorted({name for entry in found for name in entry.scores if name.startswith("test/")})
    objective = next((entry.objective for entry in found if entry.objective), "objective")
    shown = Table(title=f"{len(found)} runs, best {objective} first", title_justify="left", title_style="bold")
    shown.add_column("#", justify="right", style="dim")
    for key in differing:
        shown.add_column(key)
    for name in (objective, *tests):
        shown.add_column(name, justify="right")
    shown.add_column("status")
    for place, entry in enumerate(found[:most], 1):
        score = "" if entry.score is None else f"{entry.score:.4f}"
        finished = entry.status == "FINISHED"
        shown.add_row(
            str(place),
            *(escape(entry.choices.get(key, "")) for key in differing),
            score,
            *(f"{entry.scores[name]:.4f}" if name in entry.scores and finished else "" for name in tests),
            entry.status if finished else f"[red]{entry.status}[/]",
            style="bold" if place == 1 and finished else "",
        )
    if len(found) > most:
        shown.caption = f"and {len(found) - most} more"
    return shown
