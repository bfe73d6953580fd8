"""A sweep from beginning to end: its jobs composed, checked, planned, run, and what they came to."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, chdir, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from weft import __version__, compose, destination, sharing
from weft.catalog import catalog
from weft.errors import ConfigError, UnusableError
from weft.folder import Folder
from weft.kinds import KINDS
from weft.sharing import Composed
from weft.sweep import budget, leaderboard, options, preflight, process, running, searched, showing, summary
from weft.sweep.budget import Budget
from weft.sweep.ledger import Job, Ledger, State
from weft.sweep.orders import Order, begun, check, opened, order_of
from weft.sweep.preflight import Candidate, Plan
from weft.sweep.results import Skipped, entries
from weft.sweep.running import Room
from weft.sweep.scheduling import Queue
from weft.sweep.stopping import Stopping


def run(hydra: Hydra, overrides: Sequence[str], console: Console, dry_run: bool = False, config_dir: str | None = None) -> int:
    """Run all jobs of a multirun, or go on with them where a sweep of that name is there; return the exit code: 0 when every
    one of them is finished, 130 when it was told to stop.

    Args:
        hydra: an app that `compose.hydra_app(config_dir)` opened.
        overrides: as they were typed.
        console: where to show how it goes.
        dry_run: end after the plan; nothing is written.
        config_dir: for the ledger, from which the sweep may go on.

    Raises:
        UserError: a job that can't be and was not meant as one of a grid; nothing has started.
    """
    if os.environ.get("MLFLOW_RUN_ID"):
        raise ConfigError("MLFLOW_RUN_ID: names one run, and a sweep makes many; unset it")
    process.warm()
    given = list(overrides)
    config = compose.compose(hydra, overrides, RunMode.MULTIRUN)
    process.preload(_parts(config, given))
    if config.sweep.name is None:
        given.append(f"sweep.name={datetime.now():%Y-%m-%d_%H-%M-%S-%f}")
        config = compose.compose(hydra, given, RunMode.MULTIRUN)
    order = order_of(config)
    told = {
        "overrides": given,
        "config_dir": config_dir and str(Path(config_dir).absolute()),
        "started_in": str(Path.cwd()),
        "weft": __version__,
    }
    if config.hydra.sweeper._target_ == searched.TARGET:
        return searched.run(hydra, config, order, told, console, dry_run)
    config, composed = sharing.compose_jobs(hydra, given)
    candidates, refused = sort_out(composed)
    check(config, order, [candidate.configuration for candidate in candidates])
    if not composed:
        return _by_sweeper(hydra, given, order, console)
    candidates, beyond = _within(order.budget, candidates)
    with ExitStack() as stack:
        stopping = stack.enter_context(Stopping())
        ledger = opened(stack, order.folder)
        plan, room = _plan(order, candidates, refused, beyond, ledger.jobs() if ledger else [], console)
        if dry_run:
            return 0
        ledger = ledger or begun(stack, order.folder)
        left_out = [[skipped.overrides, skipped.reason] for skipped in (*refused, *beyond)]
        ledger.note(**told, launcher=order.launcher, environment=order.environment, refused=left_out)
        _write_down(ledger, plan)
        if order.runs_in_slots:
            _in_slots(ledger, plan, order, room, console, stopping)
        else:
            stopping.signal = _by_launcher(hydra, config, ledger, [planned.job for planned in plan.due])
        asked = [planned.job.number for planned in plan.jobs]
        return running.conclude(ledger, asked, candidates[0].configuration.settings, console, stopping.signal)


def resume(folder: Path, overrides: Sequence[str], console: Console) -> int:
    """Go on with a sweep: what is done stays done, what failed is tried again, what was interrupted goes on where it was.

    Args:
        folder: of the sweep.
        overrides: of its launcher, such as `hydra.launcher.slots=4`.
        console: where to show how it goes.

    Raises:
        UserError: it can't be.
    """
    for override in overrides:
        if not override.startswith("hydra.launcher.") or "=" not in override:
            raise ConfigError(f"{override}: a sweep goes on as it was; only hydra.launcher.OPTION=… can change")
    folder = folder.absolute()
    with Ledger(folder) as ledger:
        ledger.settle()
        started_in, config_dir = ledger.noted("started_in", "."), ledger.noted("config_dir")
        told = ledger.noted("overrides", [])
        launcher = dict(ledger.noted("launcher") or {"_target_": options.TARGET})
        jobs = [job for job in ledger.jobs() if job.state is not State.SUPERSEDED]
        # Paths in the jobs' options are relative to where the sweep began, as is the folder of YAML.
        place = chdir(started_in) if Path(started_in).is_dir() else nullcontext()
        if jobs and launcher["_target_"] == options.TARGET and not ledger.noted("search"):
            launcher.update(_given(overrides))
            with place:
                return _resume_grid(ledger, jobs, launcher, console)
    if not told:
        raise ConfigError(f"{folder}: its ledger holds no jobs")
    with place, compose.hydra_app(config_dir) as hydra:
        return run(hydra, [*told, f"hydra.sweep.dir={folder}", *overrides], console, config_dir=config_dir)


def _given(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the launcher's options that were typed."""
    found = OmegaConf.from_dotlist([override.removeprefix("hydra.launcher.") for override in overrides])
    values = OmegaConf.to_container(found)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}


def _resume_grid(ledger: Ledger, jobs: Sequence[Job], launcher: Mapping[str, Any], console: Console) -> int:
    """Go on with jobs from what the ledger knows of them: from any folder, and without the YAML that they came from."""
    candidates = preflight.candidates(jobs, catalog())
    first = candidates[0].configuration.settings
    destination.check_uri(first.store)
    order = Order(
        folder=ledger.folder,
        launcher=launcher,
        strict=False,
        patience=first.sweep.patience,
        budget=budget.read(first.sweep.compare, first.sweep.budget),
        environment=ledger.noted("environment", {}),
    )
    process.warm()
    process.preload({(part.kind, part.component.name) for found in candidates for part in found.configuration.every_part()})
    plan, room = _plan(order, candidates, [], [], jobs, console)
    _write_down(ledger, plan)
    asked = [planned.job.number for planned in plan.jobs]
    with Stopping() as stopping:
        _in_slots(ledger, plan, order, room, console, stopping)
        return running.conclude(ledger, asked, first, console, stopping.signal)


def _parts(config: DictConfig, overrides: Iterable[str]) -> set[tuple[str, str]]:
    """Return kind and name of parts that the jobs are likely to be made of, as far as the sweep's own config and what was typed
    tell: they are loaded while the jobs are composed."""
    found: set[tuple[str, str]] = set()
    for name, kind in KINDS.items():
        value = config.get(name) if kind.chosen else None
        chosen = [str(key) for key in value] if kind.several and value else [str(value.get("name"))] if value else []
        found.update((name, choice) for choice in chosen)
    for override in overrides:
        name, _, value = override.lstrip("+").partition("=")
        if name in KINDS:
            found.update((name, choice.strip("[] '\"")) for choice in value.split(","))
    return {(kind, name) for kind, name in found if name in catalog().components[kind]}


def sort_out(composed: Sequence[Composed]) -> tuple[list[Candidate], list[Skipped]]:
    """Return the jobs that could be composed, and those of a grid that could not.

    A value that works in some jobs and not in others makes pairs that don't fit. One that works in none is a mistake, but for a
    component that is there and broken, or in conflict: that is its plugin's, and stops only the jobs that choose it.

    Raises:
        UserError: the first mistake.
    """
    sound = [Candidate(job.overrides, job.configuration) for job in composed if job.configuration is not None]
    working = {override for candidate in sound for override in candidate.overrides}
    refused = []
    for job in composed:
        if job.error is not None:
            if not sound or not (working.issuperset(job.overrides) or isinstance(job.error, UnusableError)):
                typed = [line for line in job.overrides if not line.startswith("sweep.name=")]
                raise type(job.error)(f"{job.error}\nin the job {' '.join(typed)}")
            refused.append(Skipped(job.overrides, str(job.error)))
    return sound, refused


def _within(given: Budget | None, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Skipped]]:
    """Return the jobs that are within their value's budget, and those that are not."""
    if given is None:
        return [*candidates], []
    kept = budget.chosen(given, [candidate.overrides for candidate in candidates])
    beyond = [
        Skipped(candidate.overrides, f"sweep.budget: of each {given.axis}, as many jobs run as of any other")
        for candidate, is_kept in zip(candidates, kept, strict=True)
        if not is_kept
    ]
    return [candidate for candidate, is_kept in zip(candidates, kept, strict=True) if is_kept], beyond


def _plan(
    order: Order,
    candidates: Sequence[Candidate],
    refused: Sequence[Skipped],
    beyond: Sequence[Skipped],
    known: Sequence[Job],
    console: Console,
) -> tuple[Plan, Room]:
    """Try all jobs, print what is to be done with each, and return it with the room for it. `refused` are jobs that could not
    be composed, `beyond` those that no budget is left for.

    Raises:
        ConfigError: none of them can be; or one can't and the sweep is strict.
    """
    devices = {candidate.configuration.settings.device for candidate in candidates}
    room = running.room(order.options, devices, order.environment)
    plan = preflight.plan(running.tried(candidates, room, order.patience, console), known)
    skipped = [Skipped(planned.job.overrides, planned.job.reason) for planned in plan.of(State.SKIPPED)] + [*refused]
    if len(skipped) == len(plan.jobs) + len(refused):
        raise ConfigError(f"{skipped[0].reason}\nin the job {' '.join(skipped[0].overrides)}, and no job is left to run")
    console.print(f"sweep {order.folder.name}, in {order.folder}", highlight=False, soft_wrap=True)
    showing.show(plan, [*refused, *beyond], len(room.places), console)
    if order.strict and skipped:
        raise ConfigError(f"sweep.strict: {skipped[0].reason}\nin the job {' '.join(skipped[0].overrides)}")
    return plan, room


def _write_down(ledger: Ledger, plan: Plan) -> None:
    ledger.plan([*plan.superseded, *(planned.job for planned in plan.jobs)])
    summary.note_skipped(ledger.folder, running.skipped(ledger))
    for job in plan.superseded:
        folder = Folder(ledger.folder / str(job.number))
        if folder.record():
            folder.note(superseded=job.reason)


def _in_slots(ledger: Ledger, plan: Plan, order: Order, room: Room, console: Console, stopping: Stopping) -> None:
    """Run the jobs that are due."""
    due = [planned.job for planned in plan.due]
    if order.budget is not None and order.budget.seconds is not None:
        due.sort(key=lambda job: budget.lot(job.overrides))
    numbers = [planned.job.number for planned in plan.jobs]
    titles = dict(zip(numbers, showing.titles([planned.job.overrides for planned in plan.jobs]), strict=True))
    stores = [planned.verdict.candidate.configuration.settings.store for planned in plan.due]
    queue = Queue(due, order.options.retries, room.has_accelerators, order.budget)
    running.run(ledger, queue, room, stores, titles, len(due), console, stopping)
    for job in queue.unaffordable:
        ledger.end(job, State.SKIPPED, f"sweep.budget: {order.budget} are spent")


def _by_launcher(hydra: Hydra, config: DictConfig, ledger: Ledger, due: Sequence[Job]) -> int:
    """Run jobs by another launcher of Hydra's; return the signal that it was told to stop by, 0 where none was."""
    from weft.sweep.job import task

    context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
    launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)
    begun = [ledger.begin(job) for job in due]
    try:
        if begun:
            launcher.launch([[*job.overrides, f"hydra.sweep.subdir='{job.number}'"] for job in begun], initial_job_idx=0)
    except KeyboardInterrupt:
        return signal.SIGINT
    finally:
        ledger.settle()
    return 0


def _by_sweeper(hydra: Hydra, given: Sequence[str], order: Order, console: Console) -> int:
    """Run the jobs that another sweeper of Hydra's proposes. They are not known beforehand: each is checked when it starts."""
    from weft.sweep.job import task

    if order.folder.exists() and any(order.folder.iterdir()):
        raise ConfigError(f"sweep.name: {order.folder} is there already, and would be overwritten; choose another name")
    hydra.multirun(compose.CONFIG, task, [*given, "hydra.mode=MULTIRUN"])
    found = entries(order.folder)
    leaderboard.show(console, found)
    return 0 if found and all(entry.is_finished for entry in found) else 1
