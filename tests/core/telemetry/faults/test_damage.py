"""Rows 18 and 19: a journal that was damaged after it was written. What can be read is delivered and nothing else; what can't
is named, with counts; the file stays as it is."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core.telemetry.faults.conftest import Settle
from tests.core.telemetry.faults.forge import Job
from tests.core.telemetry.faults.injection import Forges
from tests.core.telemetry.faults.oracle import Round
from weft.telemetry.lease import count

pytestmark = pytest.mark.integration

Harm = Callable[[random.Random, Path], None]


def flip(chance: random.Random, file: Path) -> None:
    """Flip 64 bytes."""
    place = chance.randrange(file.stat().st_size)
    with file.open("r+b") as opened:
        opened.seek(place)
        before = opened.read(64)
        opened.seek(place)
        opened.write(bytes(byte ^ chance.randrange(1, 256) for byte in before))


def cut(chance: random.Random, file: Path) -> None:
    """Cut it off."""
    os.truncate(file, chance.randrange(file.stat().st_size))


def destroy(chance: random.Random, file: Path) -> None:
    """Overwrite a page, not the first one."""
    with file.open("r+b") as opened:
        opened.seek(4096 * chance.randrange(1, max(2, file.stat().st_size // 4096)))
        opened.write(chance.randbytes(4096))


@pytest.mark.parametrize("harm", [flip, pytest.param(cut, marks=pytest.mark.accept), destroy])
def test_what_is_damaged_is_named_and_the_rest_delivered(
    harm: Harm, forges: Forges, settle: Settle, uri: str, tmp_path: Path
) -> None:
    chance = random.Random(18)

    def job(number: int) -> Job:
        options = {"flushes": chance.randint(5, 60), "rows": chance.randint(1, 12), "checkpoint": chance.choice([4, 20, 1000])}
        return Job(str(tmp_path / str(number)), uri, ends=chance.random() < 0.5, **options)

    rounds = [forges.run(job(number), kill_when_written) for number in range(70)]
    before: dict[Path, bytes] = {}
    for done in rounds:
        file = Path(done.job.folder) / "1.journal"
        log = file.with_name("1.journal-wal")
        if log.exists() and log.stat().st_size and chance.random() < 0.7:
            file = log
        harm(chance, file)
        before |= {file: file.read_bytes()}
    verdict = settle(f"a journal of which one would {harm.__name__} a part", rounds, damaged=True)
    assert {file: file.read_bytes() for file in before} == before
    assert verdict.damaged >= 15  # the rest fell on what nobody reads: old frames of a log, free pages
    assert verdict.stored > verdict.acknowledged / 3


def kill_when_written(done: Round) -> None:
    """Kill a trainer that stands still."""
    if done.acknowledged == done.job.flushes * done.job.rows and not done.job.ends and not done.killed:
        done.killed = True
        os.kill(done.pid, signal.SIGKILL)


def test_a_count_is_no_more_than_that(tmp_path: Path) -> None:
    (tmp_path / "1.lock").write_bytes(b"\xff\xfe no number")
    assert count(tmp_path / "1.lock") == 0
