"""`python -m tests.core.telemetry.faults [FAULTS [SEED]]`, or `make soak`: faults without end, 10,000 unless told otherwise.

Trainers and who ships for them are killed at random, apart and together, on disks that fail at random; some go on in a second
attempt. A block of trainers shares a store; what they left is shipped when the block is over, and held against what they were
told is safe. Each block prints its seed: a block goes the same way again with it, as far as the machine's timing lets it. Exit
code 1 when a point was lost or doubled, or anything else was not as promised.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.core.telemetry.faults.forge import Job
from tests.core.telemetry.faults.injection import (
    CHANGES,
    TRANSFERS,
    WRITES,
    Forge,
    Forges,
    is_struck,
    lacks_strace,
    strace,
    strace_database,
)
from tests.core.telemetry.faults.oracle import Round, Verdict, judge

_BLOCK = 60  # trainers
_BLOCKS = 10  # that share a store


class Shipping(threading.Thread):
    """Who ships to a store, killed and started again until it is told to stop."""

    def __init__(self, forge: Forge, uri: str, seed: int, log: Path):
        super().__init__()
        self.faults: Counter[str] = Counter()
        self._log, self._store = log, Path(uri.removeprefix("sqlite:///"))
        self._forge, self._uri, self._chance = forge, uri, random.Random(f"{seed} shipping")
        self._stopped = threading.Event()
        self._pid = 0

    def run(self) -> None:
        while not self._stopped.is_set():
            job = Job(str(self._log), self._uri, ships=True, dies=self._chance.uniform(0.05, 1.5))
            if self._chance.random() < 0.3 and not lacks_strace():
                database = self._chance.choice(
                    [self._store, self._store.with_name(f"{self._store.name}.spool") / "progress.db"]
                )
                error, number = self._chance.choice(["EIO", "ENOSPC"]), self._chance.randint(1, 15)
                lasting = self._chance.choice(["", "+", f"..{number + 10}"])
                log = Path(f"{self._log}.strace")
                job.strace = strace_database(
                    database,
                    log,
                    self._chance.choice(["pwrite64", "pwrite64", "openat", "fdatasync"]),
                    f"error={error}",
                    f"{number}{lasting}",
                )
            done = self._forge.run(job, self._see)
            self._pid = 0
            self.faults["kill of who ships"] += done.code == -signal.SIGKILL
            self.faults["disk of who ships"] += bool(job.strace) and is_struck(done, killed=False)

    def kill(self) -> None:
        """Kill it, now."""
        with contextlib.suppress(ProcessLookupError):
            if self._pid:
                os.kill(self._pid, signal.SIGKILL)

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def _see(self, done: Round) -> None:
        self._pid = done.pid


def trainer(chance: random.Random, folder: Path, uri: str) -> tuple[str, Job]:
    """Return what befalls a trainer, and how it goes about its work."""
    job = Job(
        str(folder), uri, flushes=chance.randint(1, 40), rows=chance.randint(1, 8), checkpoint=chance.choice([2, 4, 20, 1000])
    )
    job.key = uuid.UUID(int=chance.getrandbits(128)).hex
    job.network = chance.random() < 0.15
    job.strict = chance.random() < 0.1
    job.pause = chance.choice([0.0, 0.0, 0.002])
    kind = chance.choice(["kill", "kill", "kill at a call", "kill at a call", "disk", "disk", "kill and disk", "full"])
    number = min(int(chance.expovariate(1 / 25)) + 1, 300)
    if lacks_strace() and kind != "full":
        kind = "kill"
    if kind in ("kill", "kill and disk"):
        job.dies, job.flushes = chance.uniform(0, 0.15), 10_000
    if kind == "kill at a call":
        job.strace = strace(folder, chance.choice(CHANGES), "signal=SIGKILL", str(number))
    if kind in ("disk", "kill and disk"):
        calls, error = chance.choice([(WRITES, "ENOSPC"), (TRANSFERS, "EIO"), (WRITES, "EDQUOT"), (CHANGES, "EROFS")])
        lasting = chance.choice(["", "+", f"..{number + chance.randint(0, 20)}", f"+{chance.randint(1, 9)}"])
        job.strace = strace(folder, chance.choice(calls), f"error={error}", f"{number}{lasting}")
    if kind == "full":
        job.flushes, job.rows = 60, 20
        job.recovers = chance.choice([None, 40])
        if chance.random() < 0.5:
            job.pages = chance.randint(8, 40)
        else:
            job.limits = {"FSIZE": chance.randint(40_000, 150_000)}
    return kind, job


class Block:
    """Trainers that share a store, and what befalls them."""

    def __init__(self, seed: int, place: Path, uri: str, forges: Forges, ships: Forge):
        self.faults: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._place, self._uri, self._forges = place, uri, forges
        self._shipping = Shipping(ships, uri, seed, place / "shipping")

    def run(self) -> Verdict:
        """Let it happen, and judge it."""
        planned = [self._planned(number) for number in range(_BLOCK)]
        self._shipping.start()
        try:
            with ThreadPoolExecutor(2) as pool:
                rounds = [*pool.map(lambda life: self._live(*life), planned)]
        finally:
            self._shipping.stop()
        self.faults += self._shipping.faults
        return judge(rounds, self._uri)

    def _planned(self, number: int) -> tuple[str, Job, Job | None, bool]:
        kind, job = trainer(self._chance, self._place / str(number), self._uri)
        later = Job(job.folder, self._uri, flushes=self._chance.randint(1, 20), key=job.key, rewinds=True, network=job.network)
        later.first = self._chance.randint(0, 6)  # steps that it goes back
        if self._chance.random() < 0.3:
            later.dies, later.flushes = self._chance.uniform(0, 0.1), 10_000
        return kind, job, later if self._chance.random() < 0.25 else None, self._chance.random() < 0.2

    def _live(self, kind: str, job: Job, later: Job | None, together: bool) -> Round:
        """Run a trainer, perhaps a second attempt; return both as one."""
        done = self._forges.run(job)
        struck = is_struck(done) if job.strace else kind != "full" or bool(done.warned or done.raised)
        self.faults[kind] += struck or done.code == -signal.SIGKILL
        if together:
            self._shipping.kill()
        if later is None or done.ended:
            return done
        later.first = max(0, done.acknowledged - later.first)
        again = self._forges.run(later)
        self.faults["kill of a second attempt"] += again.code == -signal.SIGKILL
        again.acknowledged = max(done.acknowledged, again.acknowledged)
        again.ending |= done.ending and not again.began  # then the first attempt had the last word
        steps = [attempt.first + attempt.flushes * attempt.rows for attempt in (job, later)]
        again.job = Job(job.folder, job.uri, flushes=max(steps), rows=1)
        return again


def main() -> int:
    """Soak; return the exit code."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**9)
    print(lacks_strace() or "strace injects", f"{wanted} faults, seeds from {first} on", sep="; ", flush=True)
    faults: Counter[str] = Counter()
    total, forges, ships, began = Verdict(), Forges(), Forge(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="weft-soak-") as root:
        template = Path(root) / "template.db"
        make = "import sys; from weft.telemetry import store; store.opened(sys.argv[1])"
        subprocess.run([sys.executable, "-W", "ignore", "-c", make, f"sqlite:///{template}"], check=True)
        for number in itertools.count():
            if faults.total() >= wanted:
                break
            store = Path(root) / str(number // _BLOCKS)
            if number % _BLOCKS == 0:
                store.mkdir()
                shutil.copy(template, store / "mlflow.db")
            place = store / f"block{number}"
            place.mkdir()
            block = Block(first + number, place, f"sqlite:///{store}/mlflow.db", forges, ships)
            verdict = block.run()
            faults += block.faults
            total += verdict
            print(
                f"seed {first + number}: {block.faults.total()} faults, {verdict.acknowledged} points acknowledged, "
                f"{verdict.lost} lost, {verdict.doubled} doubled; {faults.total()} faults so far",
                flush=True,
            )
            for wrong in verdict.wrong:
                print(f"  WRONG {wrong}", flush=True)
            if not verdict.wrong:
                shutil.rmtree(place)
    forges.close()
    ships.close()
    took = time.monotonic() - began
    for what, count in sorted(faults.items()):
        print(f"{count:8} {what}")
    print(
        f"{faults.total():8} faults injected into {total.rounds} trainers in {took:.0f} s, {total.rounds / took:.1f} trainers/s"
    )
    print(f"{total.acknowledged:8} points acknowledged, {total.lost} lost, {total.doubled} doubled")
    print(f"{len(total.wrong):8} things wrong")
    return 1 if total.lost or total.doubled or total.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
