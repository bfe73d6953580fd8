"""Row 35: two faults at once, or one while another is recovered from."""

from __future__ import annotations

import random
import uuid
from pathlib import Path

import pytest

from tests.core.telemetry.faults.conftest import Settle
from tests.core.telemetry.faults.forge import Job
from tests.core.telemetry.faults.injection import CHANGES, WRITES, Forges, strace

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_strace")]


def test_the_disk_is_full_when_a_run_that_was_killed_goes_on(forges: Forges, settle: Settle, uri: str, tmp_path: Path) -> None:
    """The second attempt reads the first one's journal, and repeats some of its steps."""
    chance = random.Random(35)

    def job(call: str, number: int) -> Job:
        folder, key = tmp_path / f"{call}{number}", uuid.uuid4().hex
        killed = strace(folder, "pwrite64", "signal=SIGKILL", str(chance.randint(10, 55)))
        first = forges.run(Job(str(folder), uri, key=key, strace=killed))
        again = max(0, first.acknowledged - 4)
        full = strace(folder, call, "error=ENOSPC", f"{number}..{number + 3}", attempt=2)
        return Job(str(folder), uri, flushes=(20 - again) // 2, key=key, rewinds=True, first=again, strace=full)

    rounds = forges.sweep(WRITES, job)
    for done in rounds:
        if not done.began:
            assert "no journal can be kept" in done.raised[0]
        done.job.first, done.job.flushes = 0, 10  # what the first attempt was told is safe counts, too
    settle("a full disk for a run that goes on after kill -9", rounds)


@pytest.mark.parametrize("call", CHANGES)
def test_killed_while_it_recovers_from_a_full_disk(call: str, forges: Forges, settle: Settle, uri: str, tmp_path: Path) -> None:
    """The disk fails for some writes, and the trainer is killed at some call from then on."""
    chance = random.Random(call)

    def job(number: int) -> Job:
        folder = tmp_path / str(number)
        fails = strace(
            folder, "pwrite64", "error=ENOSPC", f"{(first := chance.randint(30, 50))}..{first + chance.randint(0, 6)}"
        )
        kill = ["-e", f"inject={call}:signal=SIGKILL:when={chance.randint(*REACHED[call])}"]
        if call == "pwrite64":  # strace does one thing to a call: the later one is by hand
            return Job(str(folder), uri, strace=fails, pause=0.002, dies=chance.uniform(0, 0.1))
        return Job(str(folder), uri, strace=[*fails, "-e", f"trace=pwrite64,{call}", *kill])

    rounds = forges.run_all(map(job, range(10)))
    settle("kill -9 while it recovers from a full disk", rounds)


REACHED = {"openat": (4, 9), "write": (1, 40), "fdatasync": (3, 15), "fsync": (1, 6), "ftruncate": (1, 4), "unlink": (1, 3)}
"""Of each call, those that come while a trainer is at work."""
REACHED["pwrite64"] = (0, 0)


def test_the_trainer_and_its_folder_s_file_system_go_at_once(forges: Forges, settle: Settle, uri: str, tmp_path: Path) -> None:
    """Killed at random on a disk that fails at random."""
    chance = random.Random(7)

    def job(number: int) -> Job:
        folder = tmp_path / str(number)
        what = chance.choice(["error=EIO", "error=ENOSPC", "error=EDQUOT", "error=EROFS"])
        fails = strace(folder, chance.choice(WRITES), what, f"{chance.randint(3, 40)}+{chance.randint(1, 9)}")
        return Job(str(folder), uri, flushes=200, strace=fails, dies=chance.uniform(0.02, 0.2), strict=chance.random() < 0.2)

    settle("kill -9 on a disk that fails", forges.run_all(map(job, range(20))))
