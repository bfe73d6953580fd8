"""A search: what it asks, what it is told, what is left of it when its process dies."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.errors import ConfigError
from weft.sweep import search, search_figures
from weft.sweep.search import FILE, Proposal, Search, SearchOptions
from weft.sweep.space import Dimension, Interval, Space, Values

RATE = Interval(1e-5, 1.0, log=True)
SPACE = Space(
    ("epochs=1",),
    (
        Dimension("optimizer", "optimizer", Values(("adam", "sgd"))),
        Dimension("optimizer.adam.lr", "optimizer.lr", RATE, "optimizer", ("adam",)),
        Dimension("optimizer.sgd.lr", "optimizer.lr", RATE, "optimizer", ("sgd",)),
        Dimension("optimizer.sgd.momentum", "optimizer.momentum", Interval(0.0, 0.9), "optimizer", ("sgd",)),
        Dimension("depth", "depth", Interval(1, 4)),
    ),
)
LOSSES = SearchOptions(n_trials=30)
SAMPLERS = ("tpe", "random", "quasi_random")


def loss(proposal: Proposal) -> float:
    """Least, 0, for sgd with a rate of 0.1."""
    return abs(math.log10(proposal.params["optimizer.lr"]) + 1) + (proposal.params["optimizer"] == "adam")


def run(found: Search, at_once: int = 3, limit: int = 10**9) -> list[Proposal]:
    """Run jobs, several at a time, each told when another has been asked for."""
    running: list[Proposal] = []
    done: list[Proposal] = []
    while len(done) < limit:
        while len(running) < at_once and (proposal := found.ask()):
            running.append(proposal)
        if not running:
            break
        done.append(running.pop(0))
        found.tell(done[-1].number, loss(done[-1]))
    return done


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_jobs_are_asked_for_while_others_run(tmp_path: Path, sampler: Any) -> None:
    found = Search(tmp_path, SPACE, replace(LOSSES, sampler=sampler))
    done = run(found)
    assert [proposal.number for proposal in done] == [*range(30)]
    assert found.ask() is None
    assert len({proposal.overrides for proposal in done}) == 30
    for proposal in done:
        keys = [override.partition("=")[0] for override in proposal.overrides]
        is_sgd = proposal.params["optimizer"] == "sgd"
        assert keys == ["epochs", "optimizer", "optimizer.lr", *["optimizer.momentum"] * is_sgd, "depth"]
        assert type(proposal.params["depth"]) is int
    best = found.best()
    assert best is not None
    assert best[1] == min(map(loss, done)) == loss(best[0])


def test_it_learns(tmp_path: Path) -> None:
    def mean(sampler: Any) -> float:
        done = run(Search(tmp_path, SPACE, replace(LOSSES, n_trials=60, sampler=sampler), name=sampler))
        return sum(map(loss, done[20:])) / 40

    assert mean("tpe") < 0.7 * mean("random")


def test_more_is_better(tmp_path: Path) -> None:
    found = Search(tmp_path, SPACE, LOSSES, maximize=True)
    done = run(found)
    best = found.best()
    assert best is not None
    assert best[1] == max(map(loss, done))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_seed_decides(tmp_path: Path, sampler: Any) -> None:
    def jobs(name: str, seed: int) -> list[tuple[str, ...]]:
        found = Search(tmp_path, SPACE, SearchOptions(n_trials=12, sampler=sampler, seed=seed), name=name)
        return [proposal.overrides for proposal in run(found)]

    assert jobs("a", 0) == jobs("b", 0)
    assert jobs("a2", 1) != jobs("b2", 0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_interruption_changes_no_proposal(tmp_path: Path, sampler: Any) -> None:
    wanted = SearchOptions(n_trials=16, sampler=sampler)
    whole = run(Search(tmp_path, SPACE, wanted, name="whole"), at_once=1)
    before = run(Search(tmp_path, SPACE, wanted, name="parts"), at_once=1, limit=11)
    after = run(Search(tmp_path, SPACE, wanted, name="parts"), at_once=1)
    assert [*before, *after] == whole


def test_quasi_random_covers_evenly(tmp_path: Path) -> None:
    space = Space((), (Dimension("x", "x", Interval(0.0, 1.0)), Dimension("y", "y", Interval(0.0, 1.0))))
    found = Search(tmp_path, space, SearchOptions(n_trials=16, sampler="quasi_random"))
    asked = [found.ask() for _ in range(16)]
    cells = {(int(4 * job.params["x"]), int(4 * job.params["y"])) for job in asked if job}
    assert len(cells) == 16  # Sobol: 16 points, one in each cell of 4 by 4


def test_failures(tmp_path: Path) -> None:
    found = Search(tmp_path, SPACE, replace(LOSSES, n_trials=5))
    endings: list[tuple[float | None, str]] = [(math.nan, "FINISHED"), (math.inf, "FINISHED"), (None, "FINISHED")]
    for score, status in [*endings, (1.0, "FAILED"), (1.0, "FINISHED")]:
        proposal = found.ask()
        assert proposal is not None
        found.tell(proposal.number, score, status)
    assert [trial.state.name for trial in found.study.trials] == ["FAIL"] * 4 + ["COMPLETE"]
    assert found.ask() is None  # a failure has used up its place
    found.tell(4, 2.0)
    found.tell(4, None, "FAILED")
    assert found.study.trials[4].value == 1.0


def test_the_median_prunes(tmp_path: Path) -> None:
    found = Search(tmp_path, SPACE, replace(LOSSES, pruner="median"))
    for level in range(5):
        proposal = found.ask()
        assert proposal is not None
        assert not any(found.report(proposal.number, step, float(level)) for step in (1, 2))
        found.tell(proposal.number, float(level))
    good, bad = found.ask(), found.ask()
    assert good is not None
    assert bad is not None
    assert not found.report(good.number, 1, 1.0)
    assert found.report(bad.number, 1, 3.0)
    assert found.report(bad.number, 1, 0.0)  # it was reported before
    found.tell(bad.number, None, "PRUNED")
    assert found.study.trials[bad.number].state.name == "PRUNED"
    assert found.study.trials[bad.number].value == 3.0


def test_asha_lets_a_quarter_go_on(tmp_path: Path) -> None:
    found = Search(tmp_path, SPACE, replace(LOSSES, pruner="asha", n_trials=16))
    ended: dict[float, int] = {}
    for level in range(16):
        proposal = found.ask()
        assert proposal is not None
        step = next((step for step in range(1, 17) if found.report(proposal.number, step, float(level))), 16)
        found.tell(proposal.number, float(level), "PRUNED" if step < 16 else "FINISHED")
        ended[level] = step
    assert ended[0] == 16
    assert set(ended.values()) <= {1, 4, 16}
    assert sum(step > 1 for step in ended.values()) <= 4


def test_without_a_pruner_nothing_is_pruned(tmp_path: Path) -> None:
    found = Search(tmp_path, SPACE, LOSSES)
    run(found, limit=10)
    proposal = found.ask()
    assert proposal is not None
    assert not found.report(proposal.number, 1, 1e9)


def test_what_was_running_is_left(tmp_path: Path) -> None:
    before = Search(tmp_path, SPACE, replace(LOSSES, n_trials=5))
    run(before, at_once=1, limit=2)
    first, second = before.ask(), before.ask()
    assert first is not None
    assert second is not None
    before.report(first.number, 1, 0.5)
    assert before.interrupted() == []  # they run

    after = Search(tmp_path, SPACE, replace(LOSSES, n_trials=5))
    assert after.interrupted() == [first, second]
    assert not after.report(first.number, 1, 9.0)
    assert not after.report(first.number, 2, 0.4)
    after.tell(first.number, 0.4)
    assert after.study.trials[first.number].intermediate_values == {1: 0.5, 2: 0.4}
    after.again(second.number)
    assert after.interrupted() == []
    repeated = after.ask()
    assert repeated is not None
    assert repeated.overrides == second.overrides
    assert repeated.number > second.number
    assert after.ask() is not None  # the fifth: what runs again has one place
    assert after.ask() is None


def test_budgets_of_their_own(tmp_path: Path) -> None:
    kinds = ("adam", "sgd")
    searches = {kind: Search(tmp_path, SPACE.restricted("optimizer", kind), LOSSES, name=f"optimizer={kind}") for kind in kinds}
    for kind, found in searches.items():
        jobs = [found.ask() for _ in range(31)]
        assert jobs[30] is None
        assert all(f"optimizer={kind}" in job.overrides for job in jobs[:30] if job)


def test_another_search_is_refused(tmp_path: Path) -> None:
    Search(tmp_path, SPACE, LOSSES)
    with pytest.raises(ConfigError, match=r"another search; not in both: .*depth: 1 to 4"):
        Search(tmp_path, replace(SPACE, dimensions=SPACE.dimensions[:-1]), LOSSES)
    with pytest.raises(ConfigError, match="not in both: maximize; minimize"):
        Search(tmp_path, SPACE, LOSSES, maximize=True)


def test_from_the_configs_options(tmp_path: Path) -> None:
    given = {"_target_": "x", "n_trials": 2, "params": {"x": "interval(0,1)", "y": 3}, "direction": "maximize"}
    found = search.open(tmp_path, given, ["y=4"])
    assert found.study.direction.name == "MAXIMIZE"
    assert found.space == Space(("y=4",), (Dimension("x", "x", Interval(0.0, 1.0)),))
    for wrong, message in [
        ({"sampler": "tpee"}, r"hydra.sweeper.sampler: 'tpee' is not one of tpe, random, quasi_random \(did you mean 'tpe'"),
        ({"n_trials": 0}, r"hydra.sweeper.n_trials: 0 is out of range"),
        ({"trials": 3}, r"hydra.sweeper.trials: sweeper optuna has no option 'trials' \(did you mean 'n_trials'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            search.open(tmp_path, wrong, ["x=1,2"])
    with pytest.raises(ConfigError, match="not the way of the objective"):
        search.open(tmp_path, given, ["x=1,2"], maximize=False)


def test_without_optuna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'weft\[search\]'"):
        Search(tmp_path, SPACE, LOSSES)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a search with eight jobs that were told of and two that were running."""
    folder = tmp_path_factory.mktemp("journal")
    found = Search(folder, SPACE, SearchOptions(n_trials=12, sampler="random"))
    run(found, limit=8)
    return folder / FILE


@settings(deadline=None, max_examples=60)
@given(share=st.floats(0, 1), torn=st.binary(max_size=20))
def test_cut_off_anywhere_it_goes_on(journal: Path, share: float, torn: bytes) -> None:
    content = journal.read_bytes()
    kept = content[: int(share * len(content))]
    whole = Search(journal.parent, SPACE, SearchOptions(n_trials=12, sampler="random"))
    folder = journal.parent / "cut"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / FILE).write_bytes(kept + torn.replace(b"\n", b""))
    found = Search(folder, SPACE, SearchOptions(n_trials=12, sampler="random"))
    scores = {trial.number: trial.value for trial in whole.study.trials}
    told = [trial for trial in found.study.trials if trial.state.name == "COMPLETE"]
    assert all(trial.value == scores[trial.number] for trial in told)
    for left in found.interrupted():
        found.tell(left.number, loss(left))
    run(found)
    done = [trial for trial in found.study.trials if trial.state.name == "COMPLETE"]
    assert len(done) == 12
    assert not [trial for trial in found.study.trials if trial.state.name in ("RUNNING", "WAITING")]


SEARCHER = """
from pathlib import Path
from tests.core.sweep.test_search import LOSSES, SPACE, Search, loss, replace
found = Search(Path("{folder}"), SPACE, replace(LOSSES, n_trials=10**6, sampler="random"))
for left in found.interrupted():
    found.again(left.number)
while True:
    proposal = found.ask()
    found.report(proposal.number, 1, 0.5)
    found.tell(proposal.number, loss(proposal))
    print(proposal.number, loss(proposal).hex(), flush=True)
"""


@pytest.mark.integration
def test_killed_at_any_time_it_goes_on(tmp_path: Path) -> None:
    told: dict[int, float] = {}
    for lines in (1, 4, 7, 2):
        script = [sys.executable, "-c", SEARCHER.format(folder=tmp_path)]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
        with subprocess.Popen(script, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            read = [process.stdout.readline().split() for _ in range(lines)]
            process.send_signal(signal.SIGKILL)
            read += [line.split() for line in process.stdout if line.endswith("\n")]
        told |= {int(number): float.fromhex(score) for number, score in read}
    found = Search(tmp_path, SPACE, LOSSES)
    scores = {trial.number: trial.value for trial in found.scored()}
    assert told.items() <= scores.items()
    assert len(scores) - len(told) <= 4  # what was told, and not printed any more
    assert len(found.interrupted()) <= 1


def test_figures(tmp_path: Path) -> None:
    found = Search(tmp_path, SPACE, LOSSES)
    written, left_out = search_figures.draw(found, tmp_path)
    assert written == []
    assert left_out["history"] == "no job has a score"
    run(found, limit=3)
    written, left_out = search_figures.draw(found, tmp_path)
    assert [file.name for file in written] == ["history.png"]
    assert left_out["slice"] == "3 jobs have a score, and it takes 4"
    run(found)
    written, left_out = search_figures.draw(found, tmp_path)
    assert [file.name for file in written] == ["history.png", "importances.png", "slice.png", "parallel.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in written)
    assert left_out == {}
    shares, reason = search_figures.importances(found)
    assert reason == ""
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["depth"] < max(shares.values()) / 2  # it changes nothing


def test_figures_of_equal_scores(tmp_path: Path) -> None:
    found = Search(tmp_path, Space((), SPACE.dimensions[-1:]), replace(LOSSES, n_trials=5))
    while proposal := found.ask():
        found.tell(proposal.number, 1.0)
    written, left_out = search_figures.draw(found, tmp_path)
    assert [file.name for file in written] == ["history.png", "slice.png"]
    assert left_out == {
        "importances": "all jobs have the same score",
        "parallel": "it takes two parameters that vary and that every job has",
    }


def test_figures_of_a_parameter_of_which_one_value_works(tmp_path: Path) -> None:
    """An axis for it would have no length."""
    found = Search(tmp_path, Space((), (SPACE.dimensions[0], SPACE.dimensions[-1])), replace(LOSSES, n_trials=20))
    while proposal := found.ask():
        found.tell(proposal.number, None if proposal.params["optimizer"] == "adam" else proposal.params["depth"])
    written, left_out = search_figures.draw(found, tmp_path)
    assert [file.name for file in written] == ["history.png", "importances.png", "slice.png"]
    assert left_out == {"parallel": "it takes two parameters that vary and that every job has"}
