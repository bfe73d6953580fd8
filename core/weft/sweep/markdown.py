"""A sweep's summary as Markdown: MLflow shows it as the description of the summary run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from weft.kinds import KINDS
from weft.sweep.leaderboard import Board, board, comparison, number
from weft.sweep.results import Entry, Skipped, best_so_far, command, differing, groups
from weft.sweep.statistics import grouped
from weft.telemetry.redaction import redact, redact_override


def page(name: str, found: Sequence[Entry], skipped: Sequence[Skipped], most: int | None = None) -> str:
    """Return the whole of it: leaderboard, what was tuned, failures and skips, references, best so far, commands; with `most`,
    of each list that many lines."""
    statuses = [entry.status for entry in found]
    counts = [f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses)]
    parts = [
        [f"# Sweep {_text(name)}", f"{len(found)} runs{': ' * bool(counts)}{', '.join(counts)}; {len(skipped)} skipped."],
        ["## Leaderboard", *_board(board(found, most))] if found else [],
        _tuning(found),
        _section("Not finished", [_failure(entry) for entry in found if not entry.is_finished], most),
        _section("Skipped", [f"- {_code(_shown(skip.overrides))}: {_said(skip.reason)}" for skip in skipped], most),
        ["## References", *_board(comparison(found))] if any(entry.reference for entry in found) else [],
        *(_progress(found, objective) for objective in dict.fromkeys(e.objective for e in found if e.score is not None)),
        _commands(found, most),
    ]
    return "\n\n".join("\n\n".join(part) for part in parts if part) + "\n"


def cut(text: str, most: int, rest: str) -> str:
    """Return the first lines of a text, with `rest` said below them, in `most` letters together; all of it where that is so
    short."""
    if len(text) <= most:
        return text
    kept = text[: most - len(rest) - 2]
    return f"{kept[: kept.rindex(chr(10))].rstrip()}\n\n{rest}"


def tuning(found: Sequence[Entry]) -> list[tuple[str, str, int]]:
    """Return each part that is compared with others, what became of its options (searched, set, or left at their defaults), and
    how many settings were tried with it, seeds not counted."""
    compared = [key for key in differing(found) if key in KINDS]
    values = dict.fromkeys((key, entry.choices[key]) for key in compared for entry in found if key in entry.choices)
    return [(f"{key}={value}", *_tuned(key, [e for e in found if e.choices.get(key) == value])) for key, value in values]


def _tuned(kind: str, jobs: Sequence[Entry]) -> tuple[str, int]:
    own = dict.fromkeys(key for job in jobs for key in job.choices if key.startswith(f"{kind}."))
    tried = {key: {job.choices[key] for job in jobs if key in job.choices} for key in own}
    searched = [f"{key.removeprefix(f'{kind}.')} ({len(some)} values)" for key, some in tried.items() if len(some) > 1]
    fixed = [f"{key.removeprefix(f'{kind}.')}={some.pop()}" for key, some in tried.items() if len(some) == 1]
    said = [f"tuned: {', '.join(searched)}"] * bool(searched) + [f"set: {', '.join(fixed)}"] * bool(fixed)
    default = "default, or the experiment's" if any("experiment" in job.choices for job in jobs) else "default"
    return "; ".join(said) or default, len(grouped(job.choices for job in jobs))


def _tuning(found: Sequence[Entry]) -> list[str]:
    parts = tuning(found)
    rows = [[part, options, str(tried)] for part, options, tried in parts]
    shown = Board(
        "What was compared, and whether its options were searched over", ("part", "its options", "settings tried"), 2, rows
    )
    by_kind: dict[str, set[int]] = {}
    for part, _, tried in parts:
        by_kind.setdefault(part.partition("=")[0], set()).add(tried)
    uneven = [kind for kind, numbers in by_kind.items() if len(numbers) > 1]
    note = f"Unequal numbers of settings favour those of which more were tried: {', '.join(uneven)}."
    return ["## Tuned or default", *_board(shown), *[note] * bool(uneven)] if parts else []


def _failure(entry: Entry) -> str:
    error = f": {_said(entry.error)}" if entry.error else ""
    return f"- **{entry.status}** {_code(_shown(entry.overrides))}, in `{entry.folder.name}`{error}"


def _progress(found: Sequence[Entry], objective: str) -> list[str]:
    """Return the jobs that were the best when they ended."""
    rows, last = [], None
    keys = [*differing(found)]
    for at, (entry, best) in enumerate(best_so_far(found, objective), 1):
        if best != last:
            rows.append([str(at), *(entry.choices.get(key, "") for key in keys), number(best)])
        last = best
    shown = Board(
        f"Best {objective} so far, by the number of jobs that had ended", ("#", *keys, objective), 1 + len(keys), rows
    )
    return [f"## Best so far: {_text(objective)}", *_board(shown)]


def _commands(found: Sequence[Entry], most: int | None) -> list[str]:
    repeated = any(group.repetitions > 1 for group in groups(found))
    commands = [group.command for group in groups(found)] if repeated else [command(entry.overrides) for entry in found]
    return _section("Repeat a row", [f"{place}. {_code(line)}" for place, line in enumerate(commands, 1)], most)


def _section(title: str, lines: Sequence[str], most: int | None) -> list[str]:
    more = len(lines) - len(lines[:most])
    return [f"## {title}", "\n".join(lines[:most]), *[f"and {more} more"] * bool(more)] if lines else []


def _board(board: Board) -> list[str]:
    """Return a table's title, the table, and its notes."""
    rule = [
        "---" if place < board.texts or place == len(board.columns) - 1 else "---:" for place, name in enumerate(board.columns)
    ]
    rows = [[_strong(_text(cell), at in board.best) for cell in row] for at, row in enumerate(board.rows)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in [[*map(_text, board.columns)], rule, *rows])
    return [f"{_text(board.title)}:", table, *["\n".join(f"- {_text(note)}" for note in board.notes)] * bool(board.notes)]


def _strong(text: str, is_best: bool) -> str:
    return f"**{text}**" if text and is_best else text


def _shown(overrides: Iterable[str]) -> str:
    """Return what a job was asked for, without secrets and the name of its sweep."""
    return " ".join(redact_override(text) for text in overrides if not text.startswith("sweep.name="))


def _said(text: str) -> str:
    """Return an error or a reason in a line, without secrets."""
    return _text(redact("error", text))


def _text(text: str) -> str:
    """Return a text in one line, with nothing in it that Markdown or HTML would take for its own."""
    return re.sub(r"([\\`*\[\]<>|~&]|\b_|_\b)", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Return a text in one line, word for word."""
    line = " ".join(text.split())
    fence = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}" if line else ""
