"""How things are made to fail: strace on a journal's files, a small file system, processes that fork trainers."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue

from tests.core.telemetry.faults.forge import Job
from tests.core.telemetry.faults.oracle import Round

CHANGES = ("openat", "pwrite64", "write", "fdatasync", "fsync", "ftruncate", "unlink")
"""System calls by which a file comes to hold something else."""
WRITES = ("openat", "pwrite64", "ftruncate")
"""Those that want room on the disk."""
TRANSFERS = ("pread64", "pwrite64", "fdatasync", "fsync", "ftruncate")
"""Those that a broken disk fails."""


def strace(folder: Path, call: str, what: str, when: str, attempt: int = 1) -> list[str]:
    """Return arguments that do something at the so-and-so-manyth of these calls on the files of a journal (strace counts each
    call for itself). What was done to the files is told beside the folder."""
    return strace_database(folder / f"{attempt}.journal", Path(f"{folder}.strace"), call, what, when)


def strace_database(database: Path, log: Path, call: str, what: str, when: str) -> list[str]:
    """Return the same for an SQLite database."""
    named = [argument for end in ("", "-wal", "-shm", "-journal") for argument in ("-P", f"{database}{end}")]
    return ["-o", str(log), *named, "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={when}"]


@lru_cache
def lacks_strace() -> str:
    """Return why strace can't be used here, empty where it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"strace may not trace here: {done.stderr.strip()[:200]}"


@lru_cache
def lacks_mounts() -> str:
    """Return why no file system can be mounted here, empty where one can."""
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            subprocess.run(["umount", place], check=True)
    return "" if done.returncode == 0 else f"no file system can be mounted here: {done.stderr.strip()[:200]}"


@contextlib.contextmanager
def small_disk(place: Path, options: str = "size=1m") -> Iterator[Path]:
    """Mount a file system in memory."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


class Forge:
    """A process that forks trainers, one after the other."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "ignore", "-u", "-m", "tests.core.telemetry.faults.forge"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, job: Job, seen: Callable[[Round], object] = lambda done: None) -> Round:
        """Run one, and call `seen` after every line that it prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        done = Round(job, acknowledged=job.first)
        for line in self._process.stdout:
            is_last = done.take(line)
            seen(done)
            if is_last:
                return done
        raise RuntimeError(f"the forge has died at {job}")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Forges:
    """Some of them, each made when it is first needed."""

    def __init__(self, count: int = 2) -> None:
        self._count = count
        self._made: list[Forge] = []
        self._free: SimpleQueue[Forge | None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)
        self._guard = threading.Lock()

    def run(self, job: Job, seen: Callable[[Round], object] = lambda done: None) -> Round:
        """Run a trainer."""
        forge = self._free.get() or self._new()
        try:
            return forge.run(job, seen)
        finally:
            self._free.put(forge)

    def run_all(self, jobs: Iterable[Job]) -> list[Round]:
        """Run trainers, as many at a time as there are forges."""
        with ThreadPoolExecutor(self._count) as pool:
            return [*pool.map(self.run, jobs)]

    def sweep(self, calls: Sequence[str], job: Callable[[str, int], Job], most: int = 500) -> list[Round]:
        """Run trainers under strace, of each call for the 1st, 2nd, 3rd, … until there are no more; return all that were
        struck."""
        found: list[Round] = []
        for call in calls:
            for first in range(1, most, 8):
                rounds = self.run_all(job(call, number) for number in range(first, first + 8))
                struck = [*itertools.takewhile(is_struck, rounds)]
                found += struck
                if len(struck) < len(rounds):
                    break
            else:
                raise AssertionError(f"after {most} rounds {call} still is struck")
        return found

    def close(self) -> None:
        """End them."""
        for forge in self._made:
            forge.close()

    def _new(self) -> Forge:
        forge = Forge()
        with self._guard:
            self._made.append(forge)
        return forge


def is_struck(done: Round, killed: bool = True) -> bool:
    """Whether strace did what it was told to."""
    log = Path(f"{done.job.folder}.strace")
    told = log.read_text(errors="replace") if log.exists() else ""
    return "(INJECTED)" in told or (killed and "killed by SIGKILL" in told)


def pid_exists(pid: int) -> bool:
    """Whether a process is there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False
