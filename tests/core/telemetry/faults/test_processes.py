"""Rows 3, 5 and 35, with real processes: `weft run` is told to stop, once and twice; who trains and who ships are killed
together; `weft sync` is killed while it ships."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.core.telemetry.conftest import Trainer, stop_shipper
from tests.core.telemetry.faults.conftest import INJECTED, POINTS
from tests.core.telemetry.faults.oracle import shipped, stored, verified
from weft.telemetry import journal
from weft.telemetry.spool import Spool

pytestmark = pytest.mark.integration

WEFT = [sys.executable, "-W", "ignore", "-m", "weft.cli"]


def wait_for(what: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def holders(lock: Path) -> list[int]:
    """Return the processes that hold a lock file, by the kernel's list."""
    with contextlib.suppress(FileNotFoundError):
        inode = lock.stat().st_ino
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        return [int(line[4]) for line in lines if line[1] != "->" and line[5].endswith(f":{inode}") and int(line[4]) > 0]
    return []


def entries(folder: Path) -> list[journal.Entry]:
    """Return what a journal holds."""
    return journal.read(folder / "1.journal", 1, 10**9)[0]


@pytest.fixture
def own(uri: str) -> Iterator[str]:
    """The store, left by who ships to it."""
    yield uri
    stop_shipper(uri)


SIGNALS = {
    "SIGTERM": ([signal.SIGTERM], {143}),
    "SIGINT": ([signal.SIGINT], {130}),
    "SIGTERM twice": ([signal.SIGTERM, signal.SIGTERM], {-15, 143}),
    "SIGINT twice": ([signal.SIGINT, signal.SIGINT], {-2, 130}),
}


def test_a_run_that_is_told_to_stop_is_killed_and_keeps_what_it_reported(own: str, tmp_path: Path) -> None:
    folders = {name: tmp_path / name.replace(" ", "_") for name in SIGNALS}

    def stop(name: str) -> str:
        """Return what was not as promised."""
        chance = random.Random(name)
        command = [*WEFT, "run", "epochs=100000", f"tracking.uri={own}", "telemetry.wait=0", f"hydra.run.dir={folders[name]}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, text=True)
        wait_for(lambda: process.poll() is not None or (folders[name] / "checkpoint.safetensors").exists())
        time.sleep(chance.uniform(0, 0.3))
        before = time.time()
        numbers, codes = SIGNALS[name]
        for number in numbers:
            process.send_signal(number)
            time.sleep(chance.uniform(0, 0.01))
        told = process.communicate(timeout=60)
        ends = [entry.at / 1000 for entry in entries(folders[name]) if entry.kind == "end"]
        took = ends[0] - before if ends else 0.0
        is_right = process.returncode in codes and took < 5 and (ends or len(numbers) == 2)
        return "" if is_right else f"{name}: {process.returncode}, its end after {took:.1f} s: {told}"

    with ThreadPoolExecutor(2) as pool:
        assert [*filter(None, pool.map(stop, SIGNALS))] == []
    stop_shipper(own)
    assert shipped([*folders.values()], own) == []
    for name, folder in folders.items():
        finding = verified(folder, own)
        assert finding.is_right, finding
        assert finding.points > 20
        points, status = stored(own, finding)
        assert status == "KILLED", name
        assert len(points) == len(set(points))
        POINTS.acknowledged += finding.points
        INJECTED[f"{name} to weft run"] += 1


def test_who_trains_and_who_ships_are_killed_together(own: str, trainer: Trainer, tmp_path: Path) -> None:
    chance = random.Random(5)
    source = """
    tracker.start(Opening("x", "together"))
    for step in itertools.count():
        tracker.log([Row(step, 1, ["train/loss"], [step / 7])])
        os.write(1, f"{step}\\n".encode())
    """
    processes = [trainer(source, own) for _ in range(3)]
    lock = Spool(own).lock
    wait_for(lambda: holders(lock))
    for _ in range(3):  # who ships is started anew by one of those who train
        time.sleep(chance.uniform(0.05, 0.5))
        for pid in holders(lock):
            os.kill(pid, signal.SIGKILL)
        INJECTED["kill -9 of the shipper"] += 1
    for process in processes:
        process.kill()
    for pid in holders(lock):
        os.kill(pid, signal.SIGKILL)
    INJECTED["kill -9 of trainers and shipper together"] += 3
    root = Path(own.removeprefix("sqlite:///")).parent / "trained"
    acknowledged = {root / f"{process.pid}.0": int(process.communicate()[0].splitlines()[-1]) + 1 for process in processes}
    assert min(acknowledged.values()) > 100

    def sync(*options: str) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*WEFT, "sync", str(root), *options], cwd=tmp_path, **pipes)

    first = sync()
    wait_for(lambda: holders(lock))
    time.sleep(chance.uniform(0, 0.3))
    first.kill()
    for pid in holders(lock):
        os.kill(pid, signal.SIGKILL)
    first.communicate()
    INJECTED["kill -9 of weft sync and its shipper"] += 1
    out, err = sync().communicate(timeout=120)
    assert "in the store before" in out, err
    for folder, count in acknowledged.items():
        finding = verified(folder, own)
        assert finding.is_right, finding
        points, status = stored(own, finding)
        assert status == "FAILED"
        steps = sorted(step for _, step, _ in points)
        assert steps == [*range(len(steps))]
        assert len(steps) >= count
        POINTS.acknowledged += count
