"""A search with Optuna: what to run next, given how what has run turned out.

The study is kept in the sweep's folder, in Optuna's journal: a file that is only appended to, so a process that is killed
leaves every line whole but perhaps the last, which is cut off when the study is opened again. SQLite survives as well, and
takes Optuna 15 times as long: 48 ms against 3 ms a trial, 7 ms against 0.3 ms a report. The journal's lock is the kernel's,
and goes with the process.

What is proposed depends on the seed, the trial's number and what was told before, and not on where a search was interrupted.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy
from filelock import FileLock

from weft import options, settings
from weft.errors import ConfigError
from weft.parameters import Range
from weft.sweep.space import Configure, Dimension, Space, Values, space

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial, TrialState

FILE = "study.log"
_OVERRIDES, _AGAIN, _SPACE = "overrides", "again", "space"  # what is noted beside trials, and beside the study


@dataclass(frozen=True)
class SearchOptions:
    """What the sweeper was told."""

    n_trials: Annotated[int, Range(1, math.inf), "jobs in all, with those that failed"] = 20
    n_jobs: Annotated[int, Range(1, math.inf), "jobs in a batch, where the launcher takes batches"] = 2
    sampler: Annotated[Literal["tpe", "random", "quasi_random"], "what proposes values"] = "tpe"
    pruner: Annotated[Literal["none", "median", "asha"], "what ends jobs early"] = "none"
    seed: Annotated[int, Range(0, 2**32 - 1), "of the proposals"] = 0
    direction: Annotated[Literal["minimize", "maximize"] | None, "null: the objective's own, else minimize"] = None
    max_failure_rate: Annotated[float, Range(0, 1), "share of a batch that may fail"] = 1.0
    params: Annotated[dict[str, str], "overrides to sweep over, before those of the command line"] = field(default_factory=dict)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> SearchOptions:
        """Return the sweeper's options.

        Raises:
            ConfigError: a wrong type or range, or an unknown option; says which.
        """
        values = {str(name): value for name, value in given.items() if name != "_target_"}
        values["params"] = {str(key): str(value) for key, value in (values.get("params") or {}).items()}
        return cls(**options.check(settings.options(cls), values, "hydra.sweeper", "sweeper optuna"))

    def arguments(self, overrides: Sequence[str]) -> list[str]:
        """Return all that is swept over: `params`, then what was typed."""
        return [*(f"{key}={value}" for key, value in self.params.items()), *overrides]

    def maximizes(self, objective: bool | None) -> bool:
        """Return whether more is better, as the objective says, if it does, else as was asked.

        Raises:
            ConfigError: the two contradict each other.
        """
        if objective is not None and self.direction not in (None, _direction(objective)):
            raise ConfigError(
                f"hydra.sweeper.direction: {self.direction} is not the way of the objective, which says it itself"
            )
        return bool(objective) or self.direction == "maximize"


@dataclass(frozen=True)
class Proposal:
    """A job to run: its number in the study, its overrides, and what of them was searched, by key."""

    number: int
    overrides: tuple[str, ...]
    params: Mapping[str, Any]


def open(
    folder: Path,
    given: Mapping[str, Any],
    overrides: Sequence[str],
    configure: Configure | None = None,
    maximize: bool | None = None,
    loader: ConfigLoader | None = None,
) -> Search:
    """Return the search of a sweep, begun or gone on with: `folder` is the sweep's, `given` the config's `hydra.sweeper`,
    `overrides` the multirun's without Hydra's own. See `space.space` for `configure` and `loader`; `maximize` is the
    objective's way, if it has one.

    Raises:
        ConfigError: see `SearchOptions.read`, `space.space` and `Search`; or a direction that is not the objective's.
    """
    wanted = SearchOptions.read(given)
    maximizes = wanted.maximizes(maximize)
    return Search(folder, space(wanted.arguments(overrides), configure, loader), wanted, maximizes)


class Search:
    """A study: asked for jobs, told their scores. Several may be asked for before the first is told.

    `name` tells searches in one folder apart, such as those of equal budgets over `space.restricted(…)`.

    Raises:
        ConfigError: Optuna is not installed; a study of that name in this folder searched another space or another way.
        OSError: the folder can't be written to.
    """

    def __init__(self, folder: Path, space: Space, options: SearchOptions, maximize: bool = False, name: str = "search"):
        _check_optuna()
        import optuna
        from optuna.storages.journal import JournalFileBackend
        from optuna.trial import TrialState

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space, self.options = space, options
        file = folder / FILE
        lock = FileLock(f"{file}.lock")
        with lock:
            _cut_torn_line(file)
        backend = JournalFileBackend(str(file), lock_obj=lock)  # type: ignore[arg-type]  # it acquires and releases
        direction = _direction(maximize)
        self.study = optuna.create_study(
            study_name=name,
            storage=optuna.storages.JournalStorage(backend),
            direction=direction,
            load_if_exists=True,
            pruner=_pruner(options.pruner),
        )
        before = self.study.user_attrs.get(_SPACE)
        described = [direction, *map(str, space.dimensions)]
        if before is None:
            self.study.set_user_attr(_SPACE, described)
        elif before != described:
            differing = sorted({*before} ^ {*described})
            raise ConfigError(f"{file}: {name} is of another search; not in both: {'; '.join(differing)}")
        self._asked: dict[int, Trial] = {}
        self._left = []
        for trial in self._trials(TrialState.RUNNING):
            if _OVERRIDES in trial.user_attrs:
                self._left.append(trial.number)
            else:
                self.tell(trial.number, None, "KILLED")  # the process died before it had handed it out

    def ask(self) -> Proposal | None:
        """Return the next job; None when `n_trials` have been handed out."""
        handed_out = [trial for trial in self._trials() if _OVERRIDES in trial.user_attrs and _AGAIN not in trial.user_attrs]
        if len(handed_out) >= self.options.n_trials:
            return None
        distributions = {item.key: _distribution(item) for item in self.space.dimensions}
        with quiet():
            self.study.sampler = _sampler(self.options, len(self._trials()), distributions)
            trial = self.study.ask()
            for item in self.space.dimensions:
                if item.is_in(trial.params):
                    _suggest(trial, item.key, distributions[item.key])
        overrides = self.space.overrides(trial.params)
        trial.set_user_attr(_OVERRIDES, overrides)
        self._asked[trial.number] = trial
        return Proposal(trial.number, overrides, self.space.params(trial.params))

    def tell(self, number: int, score: float | None, status: str = "FINISHED") -> None:
        """Say how a job ended. It counts as a failure without a finite score, and by any status but FINISHED and PRUNED.

        What was told before stays: telling it again does nothing. Don't tell a job that is to be gone on with.
        """
        from optuna.trial import TrialState

        if status == "PRUNED":
            self.study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)
        elif status == "FINISHED" and score is not None and math.isfinite(score):
            self.study.tell(number, score, skip_if_finished=True)
        else:
            self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        self._asked.pop(number, None)

    def report(self, number: int, step: int, value: float) -> bool:
        """Take what a job has reached by a step (from 1 on, such as an epoch); return whether it should end now. A step that
        was reported before keeps its value."""
        trial = self._trial(number)
        if step not in self._frozen(number).intermediate_values:
            trial.report(value, step)
        return trial.should_prune()

    def interrupted(self) -> list[Proposal]:
        """Return the jobs that were running when the process died that last worked on this study, and that nobody has told of:
        go on with them and tell them, or ask for them `again`."""
        from optuna.trial import TrialState

        return [self._proposal(trial) for trial in self._trials(TrialState.RUNNING) if trial.number in self._left]

    def again(self, number: int) -> None:
        """Have an interrupted job run from its beginning: the next `ask` returns it, under a new number."""
        trial = self._trial(number)
        params = trial.params
        trial.set_user_attr(_AGAIN, True)
        self.tell(number, None, "KILLED")
        self.study.enqueue_trial(params)

    def scored(self) -> list[FrozenTrial]:
        """Return the trials of the jobs that have a score."""
        from optuna.trial import TrialState

        return self._trials(TrialState.COMPLETE)

    def best(self) -> tuple[Proposal, float] | None:
        """Return the job with the best score, and the score; None when none has one."""
        if not self.scored():
            return None
        trial = self.study.best_trial
        assert trial.value is not None
        return self._proposal(trial), trial.value

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states or None)

    def _frozen(self, number: int) -> FrozenTrial:
        return next(trial for trial in self._trials() if trial.number == number)

    def _trial(self, number: int) -> Trial:
        from optuna import Trial

        if number not in self._asked:  # asked for by the process before this one
            self._asked[number] = Trial(self.study, self._frozen(number)._trial_id)
        return self._asked[number]

    def _proposal(self, trial: FrozenTrial) -> Proposal:
        return Proposal(trial.number, tuple(trial.user_attrs[_OVERRIDES]), self.space.params(trial.params))


def _check_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"hydra/sweeper=optuna: {error}; install it: pip install 'weft[search]'") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Don't warn of what Optuna calls experimental: it is what it has for conditional spaces."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _cut_torn_line(file: Path) -> None:
    """Cut off what stands behind a file's last end of line: an entry that was never acknowledged, and that would spoil the next
    one, which is appended to it."""
    if not file.exists():
        return
    with file.open("r+b") as opened:
        content = opened.read()
        opened.truncate(content.rfind(b"\n") + 1)


def _direction(maximize: bool) -> Literal["minimize", "maximize"]:
    return "maximize" if maximize else "minimize"


def _distribution(item: Dimension) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = item.values
    if isinstance(values, Values):
        return CategoricalDistribution(values.texts)
    if isinstance(values.low, int) and isinstance(values.high, int):
        return IntDistribution(values.low, values.high, values.log, int(values.step or 1))
    return FloatDistribution(values.low, values.high, values.log, values.step)


def _suggest(trial: Trial, key: str, wanted: BaseDistribution) -> None:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(wanted, CategoricalDistribution):
        trial.suggest_categorical(key, wanted.choices)
    elif isinstance(wanted, IntDistribution):
        trial.suggest_int(key, wanted.low, wanted.high, step=wanted.step, log=wanted.log)
    elif isinstance(wanted, FloatDistribution):
        trial.suggest_float(key, wanted.low, wanted.high, step=wanted.step, log=wanted.log)


def _sampler(options: SearchOptions, number: int, distributions: Mapping[str, BaseDistribution]) -> BaseSampler:
    """Return what proposes the trial of that number.

    tpe: Bergstra et al., "Algorithms for hyper-parameter optimization", 2011; jointly over the dimensions that occur together
    (Falkner et al., "BOHB", 2018), and trials that are still running count as bad ones, so that they are not proposed twice.
    quasi_random: Sobol's sequence, scrambled, over all dimensions, also those that a trial then leaves out.
    """
    from optuna.samplers import QMCSampler, RandomSampler, TPESampler

    seed = int(numpy.random.SeedSequence((options.seed, number)).generate_state(1)[0])
    if options.sampler == "tpe":
        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
    if options.sampler == "random":
        return RandomSampler(seed=seed)

    class Sobol(QMCSampler):
        """Optuna's, which would take what the first trial happens to have for the whole space."""

        def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
            return {key: item for key, item in distributions.items() if not item.single()}

    return Sobol(seed=options.seed, scramble=True)


def _pruner(name: str) -> BasePruner:
    """Return what ends jobs early.

    median: whatever is worse at a step than the median of the finished was there (Golovin et al., "Google Vizier", 2017), once
    five have finished.
    asha: at steps 1, 4, 16, … only the best quarter of those that came there goes on (Li et al., "A system for massively
    parallel hyperparameter tuning", 2020).
    """
    from optuna.pruners import MedianPruner, NopPruner, SuccessiveHalvingPruner

    if name == "median":
        return MedianPruner(n_startup_trials=5)
    return SuccessiveHalvingPruner(min_resource=1, reduction_factor=4) if name == "asha" else NopPruner()
