"""A lease ends with its process, and keeps its last word."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from weft.telemetry import lease
from weft.telemetry.lease import Lease

_HOLD = "import sys; from weft.telemetry.lease import Lease; held = Lease(sys.argv[1]); print(flush=True); sys.stdin.read()"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def holder(file: Path) -> subprocess.Popen[bytes]:
    """Start a process that holds a lease."""
    source = "from pathlib import Path; " + _HOLD.replace("sys.argv[1]", "Path(sys.argv[1])")
    process = subprocess.Popen([sys.executable, "-c", source, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_it_is_held_until_its_process_ends_however_it_ends(file: Path) -> None:
    assert not lease.held(file)
    with holder(file) as process:
        assert lease.held(file)
        assert lease.held(file), "who asks leaves it as it is"
        with pytest.raises(BlockingIOError, match="held by another process"):
            Lease(file)
        with pytest.raises(BlockingIOError):
            Lease(file, patience=0.05)
        process.kill()
        process.wait()
        assert not lease.held(file)
    Lease(file).release()


def test_who_is_patient_gets_it(file: Path) -> None:
    with holder(file) as process:
        assert process.stdin is not None
        process.stdin.close()
        Lease(file, patience=60).release()


def test_a_file_system_that_knows_no_locks_is_told_and_nothing_is_left_open(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(fcntl, "lockf", refused)
    with pytest.raises(OSError, match="No locks available"):
        Lease(file, patience=60)
    assert len(os.listdir("/proc/self/fd")) == before


def test_it_keeps_a_count_and_a_word_until_it_is_taken_again(file: Path) -> None:
    assert (lease.count(file), lease.word(file)) == (0, "")
    first = Lease(file)
    assert (lease.count(file), lease.word(file)) == (0, "")
    first.say("SIGTERM")
    for count in (1, 2**63 - 1, 40):
        first.note(count)
        assert (lease.count(file), lease.word(file)) == (count, "SIGTERM")
    first.release()
    assert (lease.count(file), lease.word(file)) == (40, "SIGTERM")
    Lease(file).release()
    assert (lease.count(file), lease.word(file)) == (0, "")


@pytest.mark.parametrize("content", [b"", b"\0" * 40, b"\xff\xfe", b"SIGTERM", b"-5\n", "²\n".encode()])
def test_what_is_no_count_is_none(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    assert (lease.count(file), lease.word(file)) == (0, "")


def test_a_file_that_was_removed_is_not_the_one_that_was_locked(file: Path) -> None:
    held = Lease(file)
    assert held.stands()
    file.unlink()
    assert not held.stands()
    file.touch()
    assert not held.stands()
    held.release()


def test_a_disk_that_is_full_refuses_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        Lease(file)
    assert len(os.listdir("/proc/self/fd")) == before
