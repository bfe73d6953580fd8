"""Row 6: the power goes off. What is left is what the disk was made to keep, and any of the writes since, in any order: of each
such disk the journal is a prefix of what was reported, with all that was acknowledged before the last synchronization began,
and what is missing is told. Of each ten disks one is shipped, to a store of its own."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.core.telemetry.conftest import ship
from tests.core.telemetry.faults.conftest import INJECTED, POINTS
from tests.core.telemetry.faults.forge import KEYS, Job, value
from tests.core.telemetry.faults.injection import Forges
from tests.core.telemetry.faults.oracle import integrity
from weft.errors import JournalError
from weft.telemetry import journal, recording, verification
from weft.telemetry.lease import Lease
from weft.telemetry.progress import DONE
from weft.telemetry.spool import Pointer, Spool
from weft.telemetry.verification import Finding

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_strace")]

_CALL = re.compile(r'(\w+)\((?:(\d+)<)?"?((?:\\x[0-9a-f]{2})+)[>"](?:, "((?:\\x[0-9a-f]{2})*)")?(?:, (\d+))?(?:, (\d+))?')


@dataclass
class File:
    """A file: what the kernel holds of it, what the disk keeps, and the writes between the two."""

    held: bytearray = field(default_factory=bytearray)
    kept: bytes | None = None
    since: list[tuple[int, bytes]] = field(default_factory=list)

    def write(self, place: int, data: bytes) -> None:
        self.since.append((place, data))
        put(self.held, place, data)


class Disk:
    """The files of a folder, by their names. A name that was given up keeps its file until something is synchronized."""

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        self._given_up: dict[str, File] = {}

    def file(self, name: str) -> File:
        return self._files.setdefault(name, File())

    def unlink(self, name: str) -> None:
        self._given_up.setdefault(name, self._files.pop(name))

    def synchronize(self, name: str, content: bytes, writes: int) -> None:
        """Keep what was there when it was asked for."""
        file = self.file(name)
        file.kept = content
        del file.since[:writes]
        self._given_up.clear()

    def after_the_power_went(self, chance: random.Random | None) -> dict[str, bytes]:
        """Return what is there again: no write since the last synchronization, or some of them."""
        found = {}
        for name in self._files.keys() | self._given_up.keys():
            before = self._given_up.get(name)
            file = (
                before if before and (chance is None or name not in self._files or chance.random() < 0.5) else self._files[name]
            )
            if chance is not None and name in self._given_up and chance.random() < 0.2:
                continue
            content, share = bytearray(file.kept or b""), chance.random() if chance is not None else 0.0
            for place, data in file.since:
                if chance is not None and chance.random() < share:
                    put(content, place, data)
            if file.kept is not None or content:
                found[name] = bytes(content)
        return found


def put(content: bytearray, place: int, data: bytes) -> None:
    content.extend(bytes(max(0, place + len(data) - len(content))))
    content[place : place + len(data)] = data


@pytest.mark.parametrize("network", [False, pytest.param(True, marks=pytest.mark.accept)])
def test_the_power_goes_off_at_any_time(network: bool, forges: Forges, template: Path, tmp_path: Path) -> None:
    folder, log = tmp_path / "run", tmp_path / "strace"
    calls = "trace=pwrite64,write,fsync,fdatasync,unlink"
    tracing = ["-o", str(log), "-ttt", "-y", "-xx", "-s", "100000", "-e", calls]
    job = Job(str(folder), "sqlite:////nowhere/mlflow.db", flushes=60, rows=3, pause=0.004, strace=tracing, network=network)
    assert forges.run(job).acknowledged == 180
    chance = random.Random(6)
    disk, acknowledged, safe, cases, shipped = Disk(), 0, 0, 0, 0
    under_way: dict[str, tuple[str, bytes, int, int]] = {}
    for thread, call, path, told in calls_of(log.read_text().splitlines()):
        name = Path(path).name
        if call == "write" and told[0].startswith(b"acknowledged"):
            acknowledged = int(told[0].split()[1])
        elif not name.startswith("1.journal") or name.endswith("-shm"):
            continue
        elif call == "pwrite64":
            disk.file(name).write(told[2], told[0][: told[1]])
        elif call == "unlink":
            disk.unlink(name)
        elif call.endswith("begun"):
            file = disk.file(name)
            under_way[thread] = (name, bytes(file.held), len(file.since), acknowledged)
        elif call.endswith("sync"):
            cases += 2
            for draw in (None, chance):
                left = tmp_path / f"{cases}{draw is None}"
                check(disk.after_the_power_went(draw), left, safe, acknowledged)
                if cases % 20 == 0:
                    check_shipped(left, template, acknowledged)
                    shipped += 1
            name, content, writes, then = under_way.pop(thread)
            disk.synchronize(name, content, writes)
            if name.endswith("-journal" if network else "-wal"):
                safe = then
    assert cases > 40
    assert shipped >= cases // 10 - 2
    assert safe > 170
    INJECTED[f"loss of power{', network' * network}"] += cases


def calls_of(lines: list[str]) -> Iterator[tuple[str, str, str, tuple[bytes, int, int]]]:
    """Yield system calls as strace shows them, each when it has returned; of those that synchronize, also when they begin."""
    begun: dict[str, str] = {}
    for line in lines:
        thread, _, text = line.split(maxsplit=2)
        if text.startswith("<..."):
            text = begun.pop(thread)
        elif "<unfinished" in text:
            begun[thread] = text
        match = _CALL.match(text)
        if match is None:
            continue
        call, _, path, data, first, second = match.groups()
        told = (plain(data or ""), int(first or 0), int(second or 0))
        if call.endswith("sync") and not line.split(maxsplit=2)[2].startswith("<..."):
            yield thread, f"{call} begun", plain(path).decode(), told
        if thread not in begun:
            yield thread, call, plain(path).decode(), told


def plain(shown: str) -> bytes:
    """Return what strace shows in hexadecimal."""
    return bytes.fromhex(shown.replace("\\x", ""))


def check(files: dict[str, bytes], folder: Path, safe: int, acknowledged: int) -> None:
    """Check what a disk holds of a journal: steps up to `safe` at least, and it is known how many were acknowledged."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    path = folder / "1.journal"
    if not path.exists():
        assert safe == 0
        return
    lease = Lease(journal.lock_of(path))
    if acknowledged:
        lease.note(acknowledged + 2)
    lease.release()
    try:
        header = journal.header(path)
    except JournalError as error:
        assert acknowledged, error
        assert safe == 0, error
        return
    assert integrity(path) == []
    found = list(journal.rows(path, 0)) if header else []
    assert [(row.step, [*row.keys], [*row.values]) for row in found] == [
        (step, KEYS, [value(key, step) for key in KEYS]) for step in range(len(found))
    ]
    assert len(found) >= safe
    finding = Finding(folder)
    verification._read(path, 1, verification._Expected(), finding)
    lost = acknowledged - len(found)
    assert finding.problems == [f"1.journal: {lost} of {acknowledged + 2} entries are lost"] * (lost > 0)
    POINTS.acknowledged += safe * len(KEYS)


def check_shipped(folder: Path, template: Path, acknowledged: int) -> None:
    """Check that what a disk holds arrives, as a run that failed; and that what it lost is told."""
    path, store = folder / "1.journal", folder / "mlflow.db"
    shutil.copy(template, store)
    uri = f"sqlite:///{store}"
    header = journal.header(path)
    assert header is not None
    Spool(uri).register(Pointer(header["key"], 1, path))
    ship(uri)
    finding = verification.verify(folder, uri)
    assert (finding.missing, finding.doubled, finding.refused) == (0, 0, [])
    rows = len(list(journal.rows(path, 0)))
    assert finding.points == rows * len(KEYS)
    assert bool(finding.problems) == (rows < acknowledged), finding.problems
    assert Spool(uri).progress_of(Pointer(header["key"], 1, path)).state == DONE


def test_the_disk_is_synchronized_each_second() -> None:
    assert recording._SYNCHRONIZE <= 1.0
