"""The jobs of a sweep, the best one first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
    )


def table(found: Sequence[Entry], most: int = 30) -> Table:
    """Return the first of them as a table: what differs between the jobs, the objective, the test split's scores."""
    differing = list(dict.fromkeys(key for entry in found for key in entry.choices))
    differing = [key for key in differing if len({entry.choices.get(key) for entry in found}) > 1]
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
