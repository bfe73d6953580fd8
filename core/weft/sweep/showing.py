"""A sweep's plan as a table: what runs, what is left out and why, what is done, and what each job takes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from weft.sweep.ledger import State
from weft.sweep.preflight import Plan, Planned
from weft.sweep.results import Skipped
from weft.telemetry.redaction import redact_override

_MOST = 40
_WORDS = {
    State.PLANNED: "run",
    State.RUNNING: "go on",
    State.INTERRUPTED: "go on",
    State.FAILED: "again",
    State.FINISHED: "done",
}


def titles(jobs: Sequence[tuple[str, ...]]) -> list[str]:
    """Return what is special about each job: its overrides less those that all have, without Hydra's escapes."""
    shared = set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()
    special = [
        [redact_override(text) for text in job if text not in shared and not text.startswith("sweep.name=")] for job in jobs
    ]
    return [re.sub(r"\\(.)", r"\1", " ".join(texts)) for texts in special]


def show(plan: Plan, refused: Sequence[Skipped], slots: int, console: Console) -> None:
    """Print the plan: a row for jobs that are alike and are treated alike, then what is left out, a line for each reason."""
    names = titles([planned.job.overrides for planned in plan.jobs])
    rows: dict[tuple[str, str], list[str]] = {}
    first: dict[tuple[str, str], Planned] = {}
    seconds: dict[tuple[str, str], list[float]] = {}
    left_out: dict[str, list[str]] = {}
    for planned, name in zip(plan.jobs, names, strict=True):
        if planned.job.state is State.SKIPPED:
            left_out.setdefault(planned.job.reason, []).append(name)
            continue
        key = planned.verdict.likeness, _word(planned)
        first.setdefault(key, planned)
        rows.setdefault(key, []).append(name)
        seconds.setdefault(key, []).extend(_seconds(planned))
    for skipped, name in zip(refused, titles([skipped.overrides for skipped in refused]), strict=True):
        left_out.setdefault(skipped.reason, []).append(name)
    shown = Table(box=None, header_style="bold")
    for name in ("jobs", "what", "parameters", "memory", "time each", ""):
        shown.add_column(name, justify="left" if name in ("what", "") else "right", overflow="fold")
    for key in [*rows][:_MOST]:
        shown.add_row(str(len(rows[key])), escape(_common(rows[key])), *_costs(first[key], seconds[key]), key[1])
    if len(rows) > _MOST:
        shown.caption = f"and {len(rows) - _MOST} rows more"
    console.print(shown)
    for text in dict.fromkeys(planned.verdict.doubt for planned in plan.due if planned.verdict.doubt):
        console.print(f"unproven: {text}", highlight=False, markup=False, soft_wrap=True)
    for reason, left in left_out.items():
        jobs = left[0] if len(left) == 1 else f"{len(left)} jobs, {_common(left)}"
        console.print(f"[yellow]skip[/] {escape(jobs)}: {escape(reason)}", highlight=False, soft_wrap=True)
    for change in plan.changes:
        console.print(f"[yellow]changed[/] {escape(change)}", highlight=False, soft_wrap=True)
    console.print(_summary(plan, refused, slots), highlight=False, soft_wrap=True)


def _word(planned: Planned) -> str:
    word = _WORDS[planned.job.state]
    return f"{word}, unproven" if planned.verdict.doubt and planned.is_due else word


def _costs(planned: Planned, seconds: Sequence[float]) -> tuple[str, str, str]:
    facts = planned.verdict.facts
    if facts is None:
        return "", "", ""
    return f"{facts.parameters:,}", _bytes(facts.memory), _duration(sum(seconds) / len(seconds)) if seconds else ""


def _seconds(planned: Planned) -> list[float]:
    """Return the estimate of what a job takes, if there is one."""
    facts = planned.verdict.facts
    found = facts.seconds(planned.verdict.candidate.configuration) if facts is not None else None
    return [] if found is None else [found]


def _common(names: Sequence[str]) -> str:
    """Return what a row's jobs share, and for what they don't the first and last value."""
    if len(names) == 1:
        return names[0]
    pairs = [dict(text.partition("=")[::2] for text in name.split(" ") if text) for name in names]
    found = []
    for key in dict.fromkeys(key for pair in pairs for key in pair):
        values = [*dict.fromkeys(pair[key] for pair in pairs if key in pair)]
        found.append(f"{key}={','.join(values) if len(values) < 4 else f'{values[0]}…{values[-1]}'}")
    return " ".join(found)


def _summary(plan: Plan, refused: Sequence[Skipped], slots: int) -> str:
    counts = {
        "to run": len(plan.of(State.PLANNED)),
        "to go on with": len(plan.of(State.INTERRUPTED, State.RUNNING)),
        "to try again": len(plan.of(State.FAILED)),
        "done already": len(plan.of(State.FINISHED)),
        "skipped": len(plan.of(State.SKIPPED)) + len(refused),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    seconds = [found for planned in plan.due for found in _seconds(planned)]
    length = f"; about {_duration(sum(seconds) / slots)} of training in {slots} slots" if seconds else ""
    return f"{len(plan.jobs) + len(refused)} jobs: {said}{length}"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bytes(count: int) -> str:
    return f"{count / 2**20:.0f} MB" if count < 2**30 else f"{count / 2**30:.1f} GB"
