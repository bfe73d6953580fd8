"""Sweeps whose jobs a search proposes."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.command import WEFT
from tests.core.sweep.conftest import Weft, jobs, recorded, states
from tests.core.sweep.test_kill import states_of
from weft.folder import Folder
from weft.sweep.ledger import State

pytestmark = pytest.mark.integration

SEARCH = ("run", "-m", "hydra/sweeper=optuna", "dataset=iris", "model=linear", "sweep.name=s", "telemetry.wait=60")


def test_each_optimizer_has_its_own_space(here: Path, weft: Weft) -> None:
    done = weft(*SEARCH, "optimizer=adamw,sgd", "epochs=2", "hydra.sweeper.n_trials=8")
    sweep = here / "runs" / "sweeps" / "s"
    assert "optimizer.adamw.weight_decay: " in done.stdout
    assert "8 jobs, proposed by tpe" in done.stdout
    assert states(sweep) == ["finished"] * 8
    for job in jobs(sweep):
        keys = {text.partition("=")[0] for text in job.overrides}
        assert "optimizer.lr" in keys
        assert ("optimizer.weight_decay" in keys) == ("optimizer=adamw" in job.overrides)
    assert len({job.identity for job in jobs(sweep)}) == 8
    assert len(recorded(here)) == 8
    assert (sweep / "summary" / "summary.md").exists()
    assert [*(sweep / "search" / "search").glob("*.png")]
    more = weft(*SEARCH, "optimizer=adamw,sgd", "epochs=2", "hydra.sweeper.n_trials=10")
    assert states(sweep) == ["finished"] * 10
    assert "10/10" not in more.stdout, "only two are new"


def test_jobs_without_prospects_end_early(here: Path, weft: Weft) -> None:
    weft(
        *SEARCH,
        *("optimizer=sgd", "optimizer.lr=choice(0.1,1e-6,2e-6,3e-6,4e-6,5e-6,6e-6,7e-6)", "epochs=30"),
        *("hydra.sweeper.n_trials=12", "hydra.sweeper.pruner=median", "hydra.sweeper.sampler=random"),
    )
    sweep = here / "runs" / "sweeps" / "s"
    found = [job for job in jobs(sweep) if job.state is State.FINISHED]
    pruned = {job.number: Folder(sweep / str(job.number)).record().get("pruned") for job in found}
    assert any(pruned.values())
    assert not all(pruned.values())
    tagged = [run for run in recorded(here) if "weft.pruned" in run.data.tags]
    assert len(tagged) == sum(bool(epoch) for epoch in pruned.values())
    assert all(Folder(sweep / str(number)).record()["epoch"] == epoch for number, epoch in pruned.items() if epoch)
    assert {run.info.status for run in tagged} == {"FINISHED"}


def test_the_same_budget_for_each(here: Path, weft: Weft) -> None:
    done = weft(*SEARCH, "optimizer=adamw,sgd,adam", "epochs=1", "sweep.compare=optimizer", "sweep.budget=3")
    assert "3 jobs for each of optimizer=adamw, optimizer=sgd, optimizer=adam" in done.stdout
    found = [job.overrides for job in jobs(here / "runs" / "sweeps" / "s")]
    for optimizer in ("adamw", "sgd", "adam"):
        assert sum(f"optimizer={optimizer}" in overrides for overrides in found) == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.accept)])
def test_a_search_that_is_killed_goes_on(here: Path, weft: Weft, number: signal.Signals) -> None:
    line = (*SEARCH, "optimizer=sgd", "epochs=60", "hydra.sweeper.n_trials=6", "hydra.launcher.slots=2")
    sweep = here / "runs" / "sweeps" / "s"
    with subprocess.Popen([*WEFT, *line], cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as parent:
        while "finished" not in states_of(sweep):
            assert parent.poll() is None
            time.sleep(0.01)
        parent.send_signal(number)
        assert parent.wait() == (-9 if number is signal.SIGKILL else 130)
    before = {job.number: job for job in jobs(sweep)}
    done = weft("resume", "runs/sweeps/s")
    after = jobs(sweep)
    assert [job.state for job in after] == [State.FINISHED] * 6, done.stdout
    for one in before.values():
        if one.state is State.FINISHED:
            assert one in after
    trials = [job.facts["trial"] for job in after]
    assert len(trials) == len({*trials}) == 6
    assert len(recorded(here)) == 6


def test_parts_that_do_not_fit_are_left_out_and_a_space_without_any_is_refused(here: Path, weft: Weft) -> None:
    done = weft(*SEARCH[:3], "dataset=iris", "model=cnn,linear", "optimizer.lr=0.1,0.01", "epochs=1", "sweep.name=s")
    assert "skip dataset=iris epochs=1 model=cnn" in done.stdout
    sweep = here / "runs" / "sweeps" / "s"
    assert {job.state for job in jobs(sweep)} <= {State.FINISHED, State.SKIPPED}
    assert all(("model=linear" in job.overrides) for job in jobs(sweep) if job.state is State.FINISHED)
    refused = weft(*SEARCH[:3], "dataset=iris", "model=cnn", "optimizer.lr=0.1,0.01", "sweep.name=t", check=2)
    assert "and no other part of the space can be trained" in refused.stderr
    assert not (here / "runs" / "sweeps" / "t").exists()
