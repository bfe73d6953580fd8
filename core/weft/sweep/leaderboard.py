"""The leaderboard of a sweep, and how its jobs meet their references: as text in columns, and as tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from weft.sweep.results import Entry, Group, differing, groups
from weft.sweep.statistics import FEW, SEEDS, SIGNIFICANCE

PLACE, INTERVAL = "#", "95 % interval"
_LONG = 8  # letters of a number that somebody has typed
ALIKE, UNTESTED = "≈", "?"
SCALES = "each loss has a scale of its own"
"""Marks of a setting that can't be told apart from the best, and of one with too few scores to tell."""
BLANK = "\u2007"
"""A space as wide as a digit, in the place of a mark."""
_UNBOUNDED = 100_000


@dataclass(frozen=True)
class Board:
    """A table as text: the names of its columns, how many of the first hold texts and not numbers, its rows, the places of
    those that stand out and of those that end badly, notes below it, and the columns that a narrow terminal does without."""

    title: str
    columns: tuple[str, ...]
    texts: int
    rows: list[list[str]]
    best: frozenset[int] = frozenset()
    faults: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield it as a table for a terminal."""
        for left_out in range(len(self.spare) + 1):
            shown = self._table(self.spare[:left_out])
            if Measurement.get(console, options.update(max_width=_UNBOUNDED), shown).minimum <= options.max_width:
                break
        yield shown

    def _table(self, left_out: Sequence[str]) -> Table:
        shown = Table(title=self.title, title_justify="left", title_style="bold", caption_justify="left")
        places = [place for place, name in enumerate(self.columns) if name not in left_out]
        for place in places:
            is_text = place < self.texts and self.columns[place] != PLACE
            is_last = place == len(self.columns) - 1
            justify: Literal["left", "right"] = "left" if is_text or is_last else "right"
            width = max(cell_len(row[place]) for row in [self.columns, *self.rows])
            shown.add_column(self.columns[place], justify=justify, overflow="fold", min_width=None if is_text else width)
        for at, row in enumerate(self.rows):
            cells = [escape(row[place]) for place in places]
            colour = "red" if at in self.faults else "green" if row[-1] == "met" else "none"
            shown.add_row(*cells[:-1], f"[{colour}]{cells[-1]}[/]", style="bold" if at in self.best else "")
        notes = [f"a wider terminal shows {', '.join(left_out)} as well"] * bool(left_out)
        shown.caption = escape("\n".join([*self.notes, *notes])) or None
        return shown


def board(found: Sequence[Entry], most: int | None = None) -> Board:
    """Return the first of a sweep's jobs as they stand: what differs between them, the objective, the test split's scores.
    Where a setting was repeated with several seeds, a row is a setting, else a job."""
    made = groups(found)
    repeated = any(group.repetitions > 1 for group in made)
    rows: Sequence[Entry | Group] = made if repeated else found
    objectives = [*dict.fromkeys(entry.objective for entry in found if entry.objective)]
    objective = objectives[0] if len(objectives) == 1 else "objective"
    several = len(objectives) > 1
    keys = [key for key in differing(found) if not repeated or key not in SEEDS]
    tests = sorted({name for entry in found for name in entry.scores if name.startswith("test/")})
    shown = rows[:most]
    left = len(rows) - len(shown)
    return Board(
        title=(f"{len(made)} settings, {len(found)} runs" if repeated else f"{len(found)} runs") + f", best {objective} first",
        columns=(PLACE, *keys, *["of"] * several, objective, *[INTERVAL] * repeated, *tests, "seeds" if repeated else "status"),
        texts=1 + len(keys) + several,
        rows=[
            [str(place), *(short(row.choices.get(key, "")) for key in keys), *[row.objective] * several, *_cells(row, tests)]
            for place, row in enumerate(shown, 1)
        ],
        best=frozenset(at for at, row in enumerate(shown) if _is_best(row, at)),
        faults=frozenset(at for at, row in enumerate(shown) if not _is_whole(row)),
        spare=(*reversed(tests), INTERVAL),
        notes=(
            *[f"and {left} more"] * bool(left),
            *(explained(made) if repeated else []),
            *[_scales(found)] * any(" by " in text for text in objectives),
        ),
    )


def _scales(found: Sequence[Entry]) -> str:
    """Return what is to be said of jobs whose losses are several: a metric that all of them have, if there is one, would do."""
    scored = [set(entry.scores) for entry in found if entry.scores]
    shared = set.intersection(*scored) if scored else set()
    metrics = sorted(name.removeprefix("test/") for name in shared if name.startswith("test/") and name != "test/loss")
    hint = f": to hold them against each other, give a metric, such as objective=valid/{metrics[0]}" if metrics else ""
    return f"{SCALES}{hint}"


def _is_best(row: Entry | Group, at: int) -> bool:
    return row.is_best if isinstance(row, Group) else at == 0 and row.is_finished


def _is_whole(row: Entry | Group) -> bool:
    return row.is_finished if isinstance(row, Entry) else row.estimate.n == row.repetitions


def _cells(row: Entry | Group, tests: Sequence[str]) -> list[str]:
    if isinstance(row, Entry):
        return [number(row.score), *(number(row.scores.get(name)) * row.is_finished for name in tests), row.status]
    told = row.estimate
    spread = f" ± {number(told.deviation)}" if told.n > 1 else ""
    interval = f"{number(told.low)} to {number(told.high)}" if told.n > 1 else ""
    score = f"{number(told.mean)}{spread} {mark(row) or BLANK}"
    return [score, interval, *(number(row.mean(name)) for name in tests), _ended(row)]


def _ended(group: Group) -> str:
    """Return how many of a setting's repetitions have a score."""
    missing = group.repetitions - group.estimate.n
    return f"{group.estimate.n} of {group.repetitions}" if missing else str(group.estimate.n)


def mark(group: Group) -> str:
    """Return how a setting stands to the best one: not told apart, not tested, or nothing where it is told apart."""
    if group.is_best or not group.scores:
        return ""
    if group.comparison is None:
        return UNTESTED
    return "" if group.comparison.is_told_apart else ALIKE


def explained(made: Sequence[Group]) -> list[str]:
    """Return what the numbers and marks of these settings mean, line by line."""
    scored = [group for group in made if group.scores]
    marks = {mark(group) for group in scored}
    used = {group.comparison.test for group in scored if group.comparison}
    names = [name for test, name in {"paired": "t-test paired by seed", "Welch": "Welch's t-test"}.items() if test in used]
    lines = ["mean ± standard deviation over seeds; 95 % confidence interval of the mean (Student's t)"] if scored else []
    if used:
        told = f"{ALIKE} can't be told apart from the best: p >" if ALIKE in marks else "all told apart from the best: p ≤"
        lines.append(f"{told} {SIGNIFICANCE:g} ({' or '.join(names)}; Holm's correction)")
    if UNTESTED in marks:
        lines.append(f"{UNTESTED} not tested against the best: one of the two has a single score")
    if any(group.estimate.n < FEW for group in scored):
        lines.append(f"few seeds (n < {FEW}): intervals are wide, and a difference that is there may not show")
    return lines


def comparison(found: Sequence[Entry]) -> Board:
    """Return the jobs that have a reference, in the order they ran in: what each should reach, what it did."""
    held = sorted((entry for entry in found if entry.reference), key=lambda entry: entry.place)
    met = sum(bool(entry.reference["met"]) for entry in held)
    keys = differing(found)
    return Board(
        title=f"{met} of {len(held)} met their reference",
        columns=(*keys, "score", "reference", "source", "reached", ""),
        texts=len(keys) + 3,
        rows=[
            [
                *(short(entry.choices.get(key, "")) for key in keys),
                *(str(entry.reference[name]) for name in ("score", "wanted", "source")),
                number(entry.reference["reached"]),
                _met(entry),
            ]
            for entry in held
        ],
        faults=frozenset(at for at, entry in enumerate(held) if not entry.reference["met"]),
    )


def _met(entry: Entry) -> str:
    unmet = "not met" if entry.is_finished else entry.status.lower()
    return "met" if entry.reference["met"] else unmet


def show(console: Console, found: Sequence[Entry], most: int = 30) -> None:
    """Print the first of a sweep's jobs, or of its settings, and the jobs that have a reference."""
    console.print(board(found, most))
    if any(entry.reference for entry in found):
        console.print(comparison(found))


def show_unfinished(console: Console, found: Sequence[Entry]) -> None:
    """Print the jobs that did not come to their end, with the reasons."""
    for entry in found:
        if not entry.is_finished:
            error = f": {entry.error}" if entry.error else ""
            console.print(f"[red]{entry.status}[/] {escape(f'{entry.folder}{error}')}", soft_wrap=True)


def number(value: float | None) -> str:
    """Return a score as text; nothing for one that isn't there."""
    if value is None or math.isnan(value):
        return ""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.4g}"


def short(text: str) -> str:
    """Return a value as a table shows it: a number that a search has drawn with four digits, of its seventeen."""
    try:
        return f"{float(text):.4g}" if len(text) > _LONG else text
    except ValueError:
        return text
