"""Sweeps in processes of their own, with a model that misbehaves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import call, forget_server
from tests.conftest import Install
from weft.catalog import catalog
from weft.sweep.ledger import Job, Ledger
from weft.telemetry import syncing, verification

ROGUE = """
    import ctypes, os, signal, subprocess, sys, time
    from typing import Literal
    import torch
    from weft import hookimpl

    class Rogue(torch.nn.Module):
        '''Trains for some steps and then misbehaves, but not where a file `cured` is.'''

        def __init__(
            self,
            inputs: tuple[int, ...],
            outputs: int,
            act: Literal["none", "raise", "exit", "leave", "segv", "kill", "hang", "print", "child", "memory"] = "none",
            after: int = 20,
        ):
            super().__init__()
            self.layer = torch.nn.Linear(inputs[0], outputs)
            if "ROGUE" in os.environ:
                print("ROGUE=" + os.environ["ROGUE"])
            self.act, self.after, self.steps = act, after, 0

        def forward(self, inputs):
            self.steps += self.training
            if self.training and self.steps == self.after and not os.path.exists("cured"):
                self.misbehave()
            return self.layer(inputs)

        def misbehave(self):
            if self.act == "raise":
                raise ValueError("a model of its own mind")
            if self.act == "exit":
                sys.exit(3)
            if self.act == "leave":
                os._exit(0)
            if self.act == "segv":
                ctypes.string_at(0)
            if self.act == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.act == "hang":
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                while True:
                    time.sleep(60)
            if self.act == "print":
                for _ in range(100):
                    print("x" * 2**20)
            if self.act == "memory":
                torch.empty(10**13)
            if self.act == "child":
                child = subprocess.Popen(["sleep", "600"])
                with open("child", "w") as file:
                    file.write(str(child.pid))

    @hookimpl
    def register_models(register):
        register(Rogue)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def install_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Install) -> Iterator[Install]:
    """Install a plugin here and in child processes."""
    forget_server()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")])))
    yield install
    forget_server()


@pytest.fixture
def rogue(install_everywhere: Install) -> Iterator[None]:
    """The misbehaving model is installed."""
    install_everywhere("weft-rogue", "rogue", ROGUE)
    catalog()
    yield
    catalog.cache_clear()


Weft = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def weft(here: Path) -> Weft:
    """Run a command there: `weft("run", "-m", …, check=1)`; its exit code must be `check`, if that isn't None."""

    def command(*arguments: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        return call(*arguments, folder=here, check=check)

    return command


def jobs(sweep: Path) -> list[Job]:
    """Return a sweep's jobs, by its ledger."""
    with Ledger(sweep) as ledger:
        return ledger.jobs()


def states(sweep: Path) -> list[str]:
    """Return how far a sweep's jobs are."""
    return [str(job.state) for job in jobs(sweep)]


def recorded(folder: Path) -> list[Any]:
    """Return the jobs' runs in the folder's MLflow store, all of it shipped and compared."""
    from mlflow import MlflowClient

    found = verification.folders(folder)
    assert not syncing.sync(found, None).problems
    client = MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return [run for run in client.search_runs(experiments) if run.data.tags.get("weft.summary") != "true"]
