"""What every sweep in slots does, whoever proposes its jobs: the machine looked at, jobs run, and what they came to told."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from weft.errors import ConfigError, WeftError
from weft.settings import Settings
from weft.sweep import leaderboard, preflight, process, summary, watching
from weft.sweep.ledger import Job, Ledger, State
from weft.sweep.options import SlotOptions
from weft.sweep.preflight import Candidate, Verdict
from weft.sweep.process import Call
from weft.sweep.results import Skipped, entries
from weft.sweep.scheduling import Scheduler, Source, suits
from weft.sweep.slots import Said, Slot, Slots, Task, layout
from weft.sweep.stopping import Stopping
from weft.sweep.words import MACHINE
from weft.telemetry import shipping
from weft.telemetry.redaction import redact
from weft.telemetry.spool import Spool


@dataclass(frozen=True)
class Room:
    """Where jobs run: the slots, and how a process in one is started."""

    places: tuple[Slot, ...]
    way: BaseContext
    options: SlotOptions
    environment: Mapping[str, str]

    @property
    def has_accelerators(self) -> bool:
        return any(slot.device != "cpu" for slot in self.places)

    def slots(self) -> Slots:
        """Return the slots, all free."""
        return Slots(self.places, self.way)


def room(options: SlotOptions, asked: set[str], environment: Mapping[str, str]) -> Room:
    """Look at the machine; return the room there is for jobs that ask for these devices, in this environment.

    Raises:
        ConfigError: a device that isn't there.
    """
    way = process.context(options.start)
    shipping.warm()  # the server is still at its imports: so are these beside it
    summary.warm()
    there = _machine(way, environment)
    for device in options.devices or ():
        if device not in there:
            raise ConfigError(f"hydra.launcher.devices: {device!r} isn't there; there are {', '.join(there)}")
    chosen = options.devices or there
    accelerators = [device for device in chosen if device != "cpu"]
    found = options.layout(accelerators) if accelerators and asked != {"cpu"} else []
    if "cpu" in chosen and (not found or "cpu" in asked):
        found = [*found, *layout(["cpu"], options.slots, threads=options.threads)]
    return Room(tuple(found), way, options, environment)


def _machine(way: BaseContext, environment: Mapping[str, str]) -> list[str]:
    """Return what there is to compute on."""
    found: list[str] = []
    call = iter([Task(Call(MACHINE, environment=environment))])
    with Slots([Slot("cpu", 1)], way) as slots:
        for event in slots.run(lambda slot: next(call, None)):
            if isinstance(event, Said):
                found = event.message
    if not found:
        raise WeftError("the processes that jobs run in don't start: what they printed is above")
    return found


def tried(candidates: Sequence[Candidate], where: Room, patience: float, console: Console) -> list[Verdict]:
    """Try jobs, and return a verdict for each; what no slot is for can't be."""
    with console.status("") as status, where.slots() as slots:
        verdicts = preflight.check(
            candidates,
            slots,
            patience,
            where.environment,
            lambda done, of: status.update(f"trying jobs: {done} of {of}"),
        )
    return [_placed(verdict, where) for verdict in verdicts]


def _placed(verdict: Verdict, where: Room) -> Verdict:
    device = verdict.candidate.configuration.settings.device
    if verdict.reason or any(suits(device, slot, where.has_accelerators) for slot in where.places):
        return verdict
    there = ", ".join(dict.fromkeys(slot.device for slot in where.places))
    return Verdict(verdict.candidate, verdict.likeness, reason=f"device={device}: no slot is for it; there are {there}")


def run(
    ledger: Ledger,
    source: Source,
    where: Room,
    stores: Iterable[str],
    titles: Mapping[int, str],
    total: int | None,
    console: Console,
    stopping: Stopping,
) -> None:
    """Run the jobs of a source.

    Args:
        ledger: of the sweep.
        source: of the jobs.
        where: they run.
        stores: that they are recorded in.
        titles: of the jobs that are known.
        total: how many there will be, where that is known.
        console: where to show how it goes.
        stopping: that the sweep may be told to.
    """
    for uri in dict.fromkeys(stores):
        spool = Spool(uri)
        spool.make()
        shipping.ensure(spool)  # one for all jobs, before each would start one of its own
    with where.slots() as slots, watching.watch(console, ledger.folder, titles, total) as watch:
        Scheduler(ledger, source, slots, where.options, where.environment, watch, stopping).run()


def conclude(
    ledger: Ledger,
    asked: Collection[int],
    settings: Settings,
    console: Console,
    stopped: int,
    more: Sequence[Path] = (),
) -> int:
    """Show and record what all came to; return the exit code: 0 when every job that was `asked` for is done.

    `more` are files that the summary is to have as well.
    """
    jobs = ledger.jobs()
    leaderboard.show(console, entries(ledger.folder))
    left = [job for job in jobs if job.number in asked and _is_left(job)]
    for job in left:
        what = escape(f"{ledger.folder / str(job.number)}: {job.reason}")
        console.print(f"[red]{job.state}[/] {what}", soft_wrap=True)
    if left:
        console.print(f"go on with it: {_command()} resume {ledger.folder}", highlight=False, markup=False, soft_wrap=True)
    if stopped:
        return 128 + stopped  # who pressed Ctrl-C waits for no plots
    summary.record(ledger.folder, settings, skipped(ledger), more)
    Spool(settings.store).drain(settings.telemetry.wait)
    console.print(f"all of it in MLflow: {_command()} ui{_options(settings)}", highlight=False, soft_wrap=True)
    return 1 if left else 0


def skipped(ledger: Ledger) -> list[Skipped]:
    """Return the jobs that are left out, and why."""
    found = [Skipped(job.overrides, job.reason) for job in ledger.jobs() if job.state is State.SKIPPED]
    return found + [Skipped(tuple(overrides), reason) for overrides, reason in ledger.noted("refused", [])]


def _is_left(job: Job) -> bool:
    return job.state in (State.PLANNED, State.RUNNING, State.FAILED, State.INTERRUPTED)


def _command() -> str:
    """Return how this command was called, where its name alone would not be found."""
    return "weft" if shutil.which("weft") else os.path.relpath(sys.argv[0])


def _options(chosen: Settings) -> str:
    """Return what `weft ui` must be told when the jobs' store or experiment is not the default."""
    default = Settings()
    uri = "" if chosen.store == default.store else f" --uri {redact('uri', chosen.store)}"
    same = chosen.tracking.experiment == default.tracking.experiment
    return uri + ("" if same else f" --experiment {chosen.tracking.experiment}")
