"""Rows 16 and 17: the disk is full, or broken: once, from some time on, for a while. Training goes on, and nothing that was
acknowledged is lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.core.telemetry.faults.conftest import Settle
from tests.core.telemetry.faults.forge import Job
from tests.core.telemetry.faults.injection import TRANSFERS, WRITES, Forges, lacks_mounts, small_disk, strace
from tests.core.telemetry.faults.oracle import Round

pytestmark = pytest.mark.integration


@pytest.mark.usefixtures("_strace")
@pytest.mark.parametrize(("calls", "error"), [(WRITES, "ENOSPC"), (TRANSFERS, "EIO")])
@pytest.mark.parametrize("lasting", ["once", pytest.param("for a while", marks=pytest.mark.accept), "from then on"])
def test_each_system_call_fails(
    calls: tuple[str, ...], error: str, lasting: str, forges: Forges, settle: Settle, uri: str, tmp_path: Path
) -> None:
    def job(call: str, number: int) -> Job:
        folder = tmp_path / f"{call}{number}"
        when = {"once": f"{number}", "for a while": f"{number}..{number + 5}", "from then on": f"{number}+"}[lasting]
        return Job(str(folder), uri, strace=strace(folder, call, f"error={error}", when))

    rounds = forges.sweep(calls, job)
    settle(f"{error} of a system call, {lasting}", rounds)
    for done in rounds:
        if done.began:
            check_that_training_went_on(done, lasting)
        else:
            assert (done.code, len(done.raised), done.warned) == (1, 1, []), done
            assert f"TrackingError: no journal can be kept in {done.job.folder}: " in done.raised[0]


def check_that_training_went_on(done: Round, lasting: str) -> None:
    assert done.code == 0, done
    assert len(done.warned) <= 2 + 2 * (lasting == "for a while"), done
    if lasting == "once":
        assert (done.acknowledged, done.ended) == (20, True), done
    if not done.ended:
        lost = done.waiting + 1  # its end is one, too
        assert done.raised == [f"TrackingError: {lost} entries could not be kept in {journal_of(done)}: {told(done)}"], done


def told(done: Round) -> str:
    """Return what a trainer told last of its disk."""
    return done.raised[-1].partition(".journal: ")[2]


def journal_of(done: Round) -> Path:
    return Path(done.job.folder) / "1.journal"


KINDS = {
    "SQLite's limit": {"pages": 30},
    "the process's limit": {"limits": {"FSIZE": 100_000}},
    "a small file system": {},
}


@pytest.fixture(params=[*KINDS])
def full(request: pytest.FixtureRequest, tmp_path: Path, uri: str) -> Iterator[Callable[..., Job]]:
    """Trainers whose disk becomes full, after some flushes of a hundred."""
    kind = request.param
    if kind != "a small file system":
        yield lambda **given: Job(str(tmp_path / "run"), uri, flushes=100, rows=50, **KINDS[kind], **given)
        return
    if why := lacks_mounts():
        pytest.skip(why)
    with small_disk(tmp_path / "disk", "size=2m") as disk:
        (disk / "filler").write_bytes(bytes(1_950_000))
        yield lambda **given: Job(str(disk / "run"), uri, flushes=100, rows=50, frees=str(disk / "filler"), **given)


def test_a_full_disk_is_waited_for(full: Callable[..., Job], forges: Forges, settle: Settle) -> None:
    seen: list[tuple[int, int]] = []
    done = forges.run(full(recovers=80), lambda done: seen.append((done.acknowledged, done.waiting)))
    assert max(waiting for _, waiting in seen) > 500, "it was not full"
    assert (done.acknowledged, done.ended, done.raised) == (5000, True, [])
    fails, works = done.warned
    assert "the run goes on, and what it reports waits in memory" in fails
    assert "can be written again; what waited has been written" in works
    settle("a full disk that becomes free", [done])


def test_a_disk_that_stays_full_loses_nothing_that_was_acknowledged(
    full: Callable[..., Job], forges: Forges, settle: Settle
) -> None:
    done = forges.run(full())
    assert 0 < done.acknowledged < 5000
    assert (done.ended, done.code, len(done.warned)) == (False, 0, 1)
    (raised,) = done.raised
    assert re.fullmatch(rf"TrackingError: {done.waiting + 1} entries could not be kept in .*", raised)
    settle("a full disk", [done])


def test_strict_ends_a_run_whose_disk_is_full(full: Callable[..., Job], forges: Forges, settle: Settle) -> None:
    done = forges.run(full(strict=True))
    assert 0 < done.acknowledged < 5000
    assert "(telemetry.strict=true)" in done.raised[0]
    assert (done.waiting, done.warned) == (0, [])
    settle("a full disk, strict", [done])
