"""How a sweep goes, shown as it goes: a table that lives in a terminal, lines elsewhere. A failure is told when it happens."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from weft.folder import Folder, near
from weft.sweep.ledger import Job, State
from weft.sweep.results import command
from weft.sweep.scheduling import OUTPUT
from weft.sweep.slots import Slot
from weft.sweep.words import Progress
from weft.telemetry.redaction import redact_override

_REFRESH = 4.0


class Lines:
    """A line when a job ends.

    Args:
        console: where to.
        folder: of the sweep.
        titles: of the jobs, by number: what is special about each.
        total: how many jobs there are to do; None where that isn't known.
    """

    def __init__(self, console: Console, folder: Path, titles: Mapping[int, str], total: int | None):
        self._console = console
        self._folder = folder
        self._titles = titles
        self._total = total
        self._counts: Counter[State] = Counter()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to take away."""

    def begun(self, job: Job, slot: Slot) -> None:
        """Nothing to say."""

    def said(self, job: Job, message: Progress) -> None:
        """Nothing to say: a line for each would be many."""

    def ended(self, job: Job, seconds: float) -> None:
        self._counts[job.state] += 1
        title = f"{self._count()}#{job.number} {self._titles.get(job.number, '')}".rstrip()
        if job.state is State.FINISHED:
            record = Folder(self._folder / str(job.number)).record()
            score = record.get("score")
            reached = "" if score is None else f"{record.get('objective')} {score:.5g} "
            self._say(f"{title}: {reached}({seconds:.1f} s)")
        elif job.state is State.FAILED:
            self._say(f"{title}: FAILED: {job.reason}", "red")
            self._say(f"   repeat it: {command([*map(redact_override, job.overrides)])}")
            self._say(f"   it said:   {near(self._folder / str(job.number) / OUTPUT)}")
        else:
            self._say(f"{title}: stopped")

    def stopping(self) -> None:
        self._say("stopping: jobs under way write a checkpoint; Ctrl-C again ends them at once")

    def _count(self) -> str:
        done = sum(self._counts.values())
        return f"{done}/{self._total} " if self._total is not None else f"{done} "

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style or None, highlight=False, markup=False, soft_wrap=True)


@dataclass
class _Row:
    slot: Slot
    since: float = field(default_factory=time.monotonic)
    progress: Progress | None = None


class Board(Lines):
    """The jobs under way as a table below what `Lines` says."""

    def __init__(self, console: Console, folder: Path, titles: Mapping[int, str], total: int | None):
        super().__init__(console, folder, titles, total)
        self._rows: dict[int, _Row] = {}
        self._since = time.monotonic()
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=_REFRESH, transient=True)

    def __enter__(self) -> Board:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begun(self, job: Job, slot: Slot) -> None:
        self._rows[job.number] = _Row(slot)

    def said(self, job: Job, message: Progress) -> None:
        if job.number in self._rows:
            self._rows[job.number].progress = message

    def ended(self, job: Job, seconds: float) -> None:
        self._rows.pop(job.number, None)
        super().ended(job, seconds)

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for number, row in sorted(self._rows.items()):
            title = Text(f"#{number} {self._titles.get(number, '')}", overflow="ellipsis", no_wrap=True)
            now = row.progress
            bar: RenderableType = ProgressBar(total=now.total, completed=now.step, width=20) if now else Text("starting")
            score = f"{now.objective} {now.score:.4f}" if now and now.score is not None else ""
            table.add_row(title, bar, score, row.slot.device, _clock(time.monotonic() - row.since))
        return Group(table, Text(self._summary(), style="dim"))

    def _summary(self) -> str:
        done, elapsed = sum(self._counts.values()), time.monotonic() - self._since
        of = f" of {self._total}" if self._total is not None else ""
        failed = f", {self._counts[State.FAILED]} failed" if self._counts[State.FAILED] else ""
        left = f", about {_clock(elapsed / done * (self._total - done))} left" if done and self._total is not None else ""
        return f"{done}{of} done{failed}, {_clock(elapsed)}{left}"


def watch(console: Console, folder: Path, titles: Mapping[int, str], total: int | None) -> Lines:
    """Return what suits the console."""
    return (Board if console.is_terminal else Lines)(console, folder, titles, total)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
