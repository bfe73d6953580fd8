"""Rows 1, 2 and 5: the process that trains is killed, at any time, before each of its system calls, and with who ships."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.core.telemetry.faults.conftest import Settle
from tests.core.telemetry.faults.forge import Job
from tests.core.telemetry.faults.injection import CHANGES, Forges, strace

pytestmark = pytest.mark.integration


def test_killed_at_any_time(forges: Forges, settle: Settle, uri: str, tmp_path: Path) -> None:
    chance = random.Random(1)
    jobs = [
        Job(
            str(tmp_path / str(number)),
            uri,
            flushes=10_000,
            rows=chance.randint(1, 20),
            dies=chance.uniform(0.0, 0.12),
            checkpoint=50,
        )
        for number in range(40)
    ]
    rounds = forges.run_all(jobs)
    assert {done.code for done in rounds} == {-9}
    verdict = settle("kill -9 of the trainer at a random time", rounds)
    assert verdict.acknowledged > 5000


@pytest.mark.usefixtures("_strace")
@pytest.mark.parametrize("network", [False, pytest.param(True, marks=pytest.mark.accept)])
def test_killed_before_every_change_of_its_files(
    network: bool, forges: Forges, settle: Settle, uri: str, tmp_path: Path
) -> None:
    def job(call: str, number: int) -> Job:
        folder = tmp_path / f"{call}{number}"
        return Job(str(folder), uri, network=network, strace=strace(folder, call, "signal=SIGKILL", str(number)))

    rounds = forges.sweep(CHANGES, job)
    assert {done.code for done in rounds} == {-9}
    assert {done.acknowledged for done in rounds} == set(range(0, 21, 2))
    settle(f"kill -9 of the trainer before a system call{', network' * network}", rounds)
