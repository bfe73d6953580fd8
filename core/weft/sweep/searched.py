"""A sweep whose jobs a search proposes: `hydra/sweeper=optuna`, a new trial whenever a slot is free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape

from weft.configuration import Configuration
from weft.errors import ConfigError
from weft.objective import OWN_LOSS
from weft.sharing import Composed, Composer
from weft.sweep import running, search_figures
from weft.sweep.ledger import Ledger, State
from weft.sweep.orders import Order, begun, check, opened
from weft.sweep.preflight import Candidate, Verdict
from weft.sweep.search import Search, SearchOptions
from weft.sweep.space import Space, Values, space
from weft.sweep.stopping import Stopping
from weft.sweep.trials import Trials, representatives

TARGET = "hydra_plugins.weft_sweepers.optuna.OptunaSweeper"
"""What Hydra knows the sweeper by."""
_WHOLE = "search"


def run(
    hydra: Hydra, config: DictConfig, order: Order, told: Mapping[str, Any], console: Console, dry_run: bool = False
) -> int:
    """Run the jobs that a search proposes, or go on with it; return the exit code.

    Raises:
        UserError: a space that can't be searched, or no part of it that can be trained.
    """
    if not order.runs_in_slots:
        raise ConfigError(
            f"hydra/launcher: {order.launcher['_target_']} takes jobs in batches, and a search proposes them one by one, as "
            "slots get free: leave it at slots"
        )
    given = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    assert isinstance(given, dict)
    options = SearchOptions.read({str(key): value for key, value in given.items()})
    overrides = options.arguments(config.hydra.overrides.task)
    kept = [override for override in config.hydra.overrides.hydra if not override.startswith("hydra.sweeper")]
    composer = Composer(hydra, kept)
    whole = space(overrides, lambda job: _sound(composer.job(job)), hydra.config_loader)
    tries = [Candidate(job.overrides, _sound(job)) for job in map(composer.job, representatives(whole)) if not job.error]
    check(config, order, [candidate.configuration for candidate in tries])
    room = running.room(order.options, {candidate.configuration.settings.device for candidate in tries}, order.environment)
    verdicts = running.tried(tries, room, order.patience, console)
    objective = _objective(verdicts)
    maximize = options.maximizes(objective.startswith("max:"))
    console.print(f"search {order.folder.name}, in {order.folder}", highlight=False, soft_wrap=True)
    spaces = _spaces(whole, order)
    _check_scale(spaces, objective)
    _show(whole, spaces, options, order, verdicts, console)
    if dry_run:
        return 0
    with ExitStack() as stack:
        stopping = stack.enter_context(Stopping())
        ledger = opened(stack, order.folder) or begun(stack, order.folder)
        ledger.note(**told, launcher=order.launcher, environment=order.environment, search=True)
        if order.budget is not None:
            options = replace(options, n_trials=order.budget.jobs or 1_000_000)
        searches = {name: Search(order.folder, part, options, maximize, name) for name, part in spaces.items()}
        seconds = order.budget.seconds if order.budget else None
        trials = Trials(searches, ledger, composer.job, verdicts, room.has_accelerators, seconds)
        total = None if seconds is not None else options.n_trials * len(searches)
        first = tries[0].configuration.settings
        running.run(ledger, trials, room, {first.store}, trials.titles, total, console, stopping)
        files = [] if stopping.signal else _drawn(searches, order.folder, console)
        code = running.conclude(ledger, _unfinished(ledger), first, console, stopping.signal, files)
        has_any = any(job.state is State.FINISHED for job in ledger.jobs())
        return code or (0 if has_any else 1)


def _sound(job: Composed) -> Configuration:
    if job.configuration is None:
        assert job.error is not None
        raise job.error
    return job.configuration


def _objective(verdicts: Sequence[Verdict]) -> str:
    """Return what all jobs go by, as `min:valid/loss`.

    Raises:
        ConfigError: none of them can be, or they go by several.
    """
    sound = [verdict.facts for verdict in verdicts if verdict.facts is not None]
    if not sound:
        reason = next((verdict.reason for verdict in verdicts if verdict.reason), "no job could be tried")
        raise ConfigError(f"{reason}\nand no other part of the space can be trained")
    objectives = sorted({facts.objective for facts in sound})
    if len(objectives) > 1:
        raise ConfigError(
            f"objective: a search compares its jobs by one, and these go by {' and '.join(objectives)}; give one that all have"
        )
    return objectives[0]


def _check_scale(spaces: Mapping[str, Space], objective: str) -> None:
    """Refuse to search for the loss that is the smallest number: that isn't the best one.

    Raises:
        ConfigError: the loss is what jobs are judged by, and varies within a search.
    """
    if not objective.endswith(OWN_LOSS):
        return
    for item in (item for part in spaces.values() for item in part.dimensions):
        if item.target.partition(".")[0] in ("loss", "class_weights") and not (
            isinstance(item.values, Values) and len(item.values.texts) == 1
        ):
            raise ConfigError(
                f"objective: {objective.partition(':')[2]} has another scale with each loss, and this search varies "
                f"{item.key} ({item.values}); give a metric, such as objective=valid/accuracy"
            )


def _spaces(whole: Space, order: Order) -> dict[str, Space]:
    """Return what is searched: all at once, or apart for each value that is to have the same budget.

    Raises:
        ConfigError: what is to be compared is not chosen in this space.
    """
    if order.budget is None:
        return {_WHOLE: whole}
    axis = order.budget.axis
    choice = next((item.values for item in whole.dimensions if item.target == axis and not item.group), None)
    if not isinstance(choice, Values):
        there = [item.target for item in whole.dimensions if not item.group and isinstance(item.values, Values)]
        raise ConfigError(f"sweep.compare: {axis} is not varied here{'; there are ' * bool(there)}{', '.join(there)}")
    return {f"{axis}={text}": whole.restricted(axis, text) for text in choice.texts}


def _show(
    whole: Space,
    spaces: Mapping[str, Space],
    options: SearchOptions,
    order: Order,
    verdicts: Sequence[Verdict],
    console: Console,
) -> None:
    """Print what is searched, and what of it can't be."""
    for item in whole.dimensions:
        console.print(f"  {item}", highlight=False, markup=False, soft_wrap=True)
    for verdict in verdicts:
        if verdict.reason:
            job = " ".join(text for text in verdict.candidate.overrides if not text.startswith("sweep."))
            console.print(f"[yellow]skip[/] {escape(job)}: {escape(verdict.reason)}", highlight=False, soft_wrap=True)
    each = f" for each of {', '.join(spaces)}" if order.budget is not None else ""
    amount = str(order.budget) if order.budget is not None else f"{options.n_trials} jobs"
    pruned = "" if options.pruner == "none" else f", those without prospects ended early ({options.pruner})"
    console.print(f"{amount}{each}, proposed by {options.sampler}{pruned}", highlight=False, soft_wrap=True)


def _unfinished(ledger: Ledger) -> list[int]:
    """Return the jobs whose end decides on the exit code: a trial that failed is one that the search has counted."""
    return [job.number for job in ledger.jobs() if job.state in (State.PLANNED, State.RUNNING, State.INTERRUPTED)]


def _drawn(searches: Mapping[str, Search], folder: Path, console: Console) -> list[Path]:
    """Draw what the studies tell, and print what matters most; return the files."""
    files: list[Path] = []
    for name, search in searches.items():
        shares, _ = search_figures.importances(search)
        if shares:
            told = ", ".join(f"{key} {share:.2f}" for key, share in [*shares.items()][:5])
            console.print(f"importance ({name}): {told}", highlight=False, markup=False, soft_wrap=True)
        place = folder / "search" / name
        place.mkdir(parents=True, exist_ok=True)
        files += search_figures.draw(search, place)[0]
    return files
