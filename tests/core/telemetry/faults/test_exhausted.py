"""Row 34: no descriptors, no inodes, no permission, a folder that can only be read: one message before training starts; later
training goes on, as on a full disk."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.core.telemetry.faults.conftest import INJECTED, Settle
from tests.core.telemetry.faults.forge import Job
from tests.core.telemetry.faults.injection import Forges, lacks_mounts, small_disk
from weft.telemetry import journal

pytestmark = pytest.mark.integration

WAITS = re.compile("the run goes on, and what it reports waits in memory")
Weft = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def weft(tmp_path: Path) -> Weft:
    """Run `weft run` with its output in a folder."""

    def run(folder: Path, *overrides: str, **options: object) -> subprocess.CompletedProcess[str]:
        here = tmp_path / "here"
        here.mkdir(exist_ok=True)
        command = [sys.executable, "-W", "ignore", "-m", "weft.cli", "run", f"runs={folder}", "epochs=1", *overrides]
        done = subprocess.run(command, capture_output=True, text=True, cwd=here, timeout=120, check=False, **options)  # type: ignore[call-overload]
        assert [*here.iterdir()] == []
        return done

    return run


def is_refused(done: subprocess.CompletedProcess[str], *said: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for words in said:
        assert words in done.stderr
    INJECTED["a place that can't be written"] += 1


@pytest.mark.usefixtures("_mounts")
def test_a_folder_that_can_only_be_read(weft: Weft, tmp_path: Path) -> None:
    with small_disk(tmp_path / "runs") as folder:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        is_refused(weft(folder), f"runs: {folder}: nothing can be written", "Read-only file system")
        assert [*folder.iterdir()] == []


@pytest.mark.usefixtures("_mounts")
def test_no_inodes_are_left(weft: Weft, tmp_path: Path) -> None:
    with small_disk(tmp_path / "runs", "size=1m,nr_inodes=3") as folder:
        for number in range(2):
            (folder / str(number)).touch()
        is_refused(weft(folder), f"runs: {folder}: nothing can be written", "No space left on device")
        assert sorted(path.name for path in folder.iterdir()) == ["0", "1"]


def test_no_permission(weft: Weft, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir(mode=0o555)
    is_refused(weft(folder, preexec_fn=bind_root), f"runs: {folder}: nothing can be written", "Permission denied")


def bind_root() -> None:
    """Have permissions bind root, too: drop the capability of not being bound by them (prctl(2), capabilities(7))."""
    drop_from_bounding_set, may_override = 24, 1
    ctypes.CDLL(None).prctl(drop_from_bounding_set, may_override, 0, 0, 0)


@pytest.fixture(params=["descriptors", "inodes"])
def exhausted(request: pytest.FixtureRequest, tmp_path: Path, uri: str) -> Iterator[Callable[..., Job]]:
    """Trainers that have none left, from their start or from when their run is begun."""
    if request.param == "descriptors":
        yield lambda **given: Job(str(tmp_path / "run"), uri, limits={"NOFILE": 3}, **given)
        return
    if why := lacks_mounts():
        pytest.skip(why)
    with small_disk(tmp_path / "disk", "size=4m,nr_inodes=3") as disk:
        (disk / "run").mkdir()
        yield lambda **given: Job(str(disk / "run"), uri, **given)


def test_there_is_one_message_before_training_starts(exhausted: Callable[..., Job], forges: Forges) -> None:
    done = forges.run(exhausted(limited_first=True))
    assert (done.began, done.code) == (False, 1)
    (raised,) = done.raised
    assert raised.startswith(f"TrackingError: no journal can be kept in {done.job.folder}: ")
    INJECTED["nothing left at the start"] += 1


def test_descriptors_run_out_while_it_trains(forges: Forges, settle: Settle, uri: str, tmp_path: Path) -> None:
    """The journal has its own; one that was closed by another error is opened when there are some again."""
    folder = tmp_path / "run"
    done = forges.run(Job(str(folder), uri, flushes=100, rows=10, pages=12, limits={"NOFILE": 3}, recovers=90, pause=0.002))
    assert (done.acknowledged, done.ended, done.raised) == (1000, True, []), done
    assert [*map(WAITS.search, done.warned)].count(None) == len(done.warned) - 1
    assert journal.attempts(folder).keys() == {1}
    settle("no descriptors left while it trains", [done])
