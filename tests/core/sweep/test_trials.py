"""A source of jobs that searches propose, without processes: what is told to whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from weft import configuration
from weft.catalog import catalog
from weft.folder import Folder
from weft.sharing import Composed
from weft.sweep.ledger import Job, Ledger, State
from weft.sweep.search import Search, SearchOptions
from weft.sweep.slots import Slot
from weft.sweep.space import Dimension, Interval, Space, Values
from weft.sweep.trials import Trials, representatives

CPU = Slot("cpu", 1)
CHOICES = Space(("dataset=iris",), (Dimension("seed", "seed", Values(("0", "1", "2"))),))
NUMBERS = Space(("dataset=iris",), (Dimension("optimizer.lr", "optimizer.lr", Interval(1e-4, 1.0, log=True)),))


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    catalog.cache_clear()
    yield
    catalog.cache_clear()


def composed(overrides: Sequence[str]) -> Composed:
    tree: dict[str, object] = {"dataset": "iris", "model": "linear", "optimizer": {"name": "sgd"}}
    for text in overrides:
        key, _, value = text.partition("=")
        if key == "optimizer.lr":
            tree["optimizer"] = {"name": "sgd", "lr": float(value)}
        elif key == "seed":
            tree["seed"] = int(value)
    return Composed(tuple(overrides), configuration.read(tree, catalog()), None)


def source(ledger: Ledger, space: Space, trials: int = 5, seconds: float | None = None, pruner: str = "none") -> Trials:
    options = SearchOptions(n_trials=trials, sampler="random", pruner=pruner)  # type: ignore[arg-type]
    return Trials({"search": Search(ledger.folder, space, options)}, ledger, composed, [], seconds=seconds)


def finish(made: Trials, ledger: Ledger, job: Job, score: float | None, state: State = State.FINISHED) -> Job:
    Folder(ledger.folder / str(job.number)).path.mkdir(exist_ok=True)
    Folder(ledger.folder / str(job.number)).note(score=score)
    ended = ledger.end(ledger.begin(job), state)
    made.ended(ended, 1.0)
    return ended


def finish_all(made: Trials, ledger: Ledger, score: float = 1.0) -> list[Job]:
    """Finish every job that is proposed, one after the other; return them."""
    done = []
    while (job := made.take(CPU)) is not None:
        done.append(finish(made, ledger, job, score))
    return done


def told(ledger: Ledger, space: Space) -> list[tuple[str, float | None]]:
    study = Search(ledger.folder, space, SearchOptions(n_trials=5, sampler="random")).study
    return [(trial.state.name, trial.value) for trial in study.trials]


def test_jobs_are_proposed_until_there_were_as_many_as_asked_for(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        made = source(ledger, NUMBERS)
        jobs = []
        while (job := made.take(CPU)) is not None:
            jobs.append(finish(made, ledger, job, float(job.number)))
        assert [job.number for job in jobs] == [0, 1, 2, 3, 4]
        assert told(ledger, NUMBERS) == [("COMPLETE", float(number)) for number in range(5)]
        assert made.titles[0].startswith("optimizer.lr=")


@pytest.mark.parametrize(("score", "state"), [(None, State.FAILED), (None, State.FINISHED), (1.0, State.FAILED)])
def test_a_job_without_a_score_is_a_failed_trial(tmp_path: Path, score: float | None, state: State) -> None:
    with Ledger(tmp_path) as ledger:
        made = source(ledger, NUMBERS, 1)
        job = made.take(CPU)
        assert job is not None
        finish(made, ledger, job, score, state)
        assert told(ledger, NUMBERS) == [("FAIL", None)]


def test_what_was_done_before_is_told_and_not_run_again(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        made = source(ledger, CHOICES, 12)
        ran = []
        while (job := made.take(CPU)) is not None:
            ran.append(finish(made, ledger, job, float(job.overrides[-1][-1])))
        assert sorted(job.overrides[-1] for job in ran) == ["seed=0", "seed=1", "seed=2"]
        skipped = [job for job in ledger.jobs() if job.state is State.SKIPPED]
        assert len(skipped) == 9
        assert all(job.reason.startswith("the same as job ") for job in skipped)
        found = Search(ledger.folder, CHOICES, SearchOptions(n_trials=12, sampler="random")).study.trials
        assert all(trial.value == float(trial.params["seed"]) for trial in found)


def test_a_time_ends_where_a_space_has_nothing_new(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        made = source(ledger, CHOICES, 1_000_000, seconds=1e9)
        assert len(finish_all(made, ledger)) == 3


def test_a_time_that_is_spent(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        made = source(ledger, NUMBERS, 1_000_000, seconds=3.0)
        assert len(finish_all(made, ledger)) == 3


@pytest.mark.parametrize("point", ["asked", "planned", "begun", "ended"])
def test_a_parent_that_dies_leaves_no_trial_undone_or_done_twice(tmp_path: Path, point: str) -> None:
    with Ledger(tmp_path) as ledger:
        made = source(ledger, NUMBERS, 2)
        if point == "asked":
            made._searches["search"].ask()
        else:
            job = made.take(CPU)
            assert job is not None
            if point != "planned":
                job = ledger.begin(job)
            if point == "ended":
                Folder(tmp_path / str(job.number)).path.mkdir()
                Folder(tmp_path / str(job.number)).note(score=0.5)
                ledger.end(job, State.FINISHED)  # and nobody has told the study
    with Ledger(tmp_path) as ledger:
        made = source(ledger, NUMBERS, 2)
        ran = [job.number for job in finish_all(made, ledger)]
        assert len({*ran}) == len(ran)
        assert [job.state for job in ledger.jobs()] == [State.FINISHED] * 2
        scores = sorted(value for _, value in told(ledger, NUMBERS) if value is not None)
        assert scores == ([0.5, 1.0] if point == "ended" else [1.0, 1.0])


def test_one_job_for_each_combination_of_parts() -> None:
    space = Space(
        ("dataset=iris",),
        (
            Dimension("model", "model", Values(("mlp", "linear"))),
            Dimension("optimizer", "optimizer", Values(("sgd", "adam"))),
            Dimension("optimizer.sgd.lr", "optimizer.lr", Interval(0.1, 1.0), "optimizer", ("sgd",)),
            Dimension("model.mlp.width", "model.width", Values(("8", "16")), "model", ("mlp",)),
        ),
    )
    assert [*representatives(space)] == [
        ("dataset=iris", "model=mlp", "optimizer=sgd", "optimizer.lr=0.1", "model.width=8"),
        ("dataset=iris", "model=mlp", "optimizer=adam", "model.width=8"),
        ("dataset=iris", "model=linear", "optimizer=sgd", "optimizer.lr=0.1"),
        ("dataset=iris", "model=linear", "optimizer=adam"),
    ]


def test_searches_take_turns(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        options = SearchOptions(n_trials=2, sampler="random")
        spaces = {name: replace(NUMBERS, fixed=("dataset=iris", f"seed={seed}")) for seed, name in enumerate(("a", "b"))}
        searches = {name: Search(tmp_path, space, options, name=name) for name, space in spaces.items()}
        made = Trials(searches, ledger, composed, [])
        order = [job.facts["search"] for job in finish_all(made, ledger)]
        assert order == ["a", "b", "a", "b"]
