"""The ledger: what it keeps, who may hold it, and what it says when it can't."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from weft.errors import ConfigError
from weft.folder import Folder
from weft.sweep import ledger as module
from weft.sweep.ledger import FILE, Job, Ledger, LedgerError, State, is_sweep, settled


def job(number: int = 0, **values: object) -> Job:
    return Job(number, f"identity-{number}", ("model=mlp", "seed=1"), {"model": {"name": "mlp"}}, **values)  # type: ignore[arg-type]


def test_keeps_what_it_is_told(tmp_path: Path) -> None:
    assert not is_sweep(tmp_path)
    jobs = [job(0, facts={"digest": "d"}), job(1, state=State.SKIPPED, reason="doesn't fit")]
    with Ledger(tmp_path) as ledger:
        ledger.plan(jobs)
        ledger.note(overrides=["a", "b"], launcher={"slots": None})
        begun = ledger.begin(jobs[0])
        assert (begun.state, begun.attempts, begun.ended) == (State.RUNNING, 1, None)
        ended = ledger.end(begun, State.FAILED, "for a reason")
    assert is_sweep(tmp_path)
    with Ledger(tmp_path) as ledger:
        assert ledger.jobs() == [ended, jobs[1]]
        assert ledger.noted("overrides") == ["a", "b"]
        assert ledger.noted("launcher") == {"slots": None}
        assert ledger.noted("else", 3) == 3
        again = ledger.begin(ledger.jobs()[0])
        assert (again.attempts, again.reason) == (2, "")


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    """A configuration may hold a password."""
    with Ledger(tmp_path) as ledger:
        ledger.plan([job()])
        for file in tmp_path.glob(f"{FILE}*"):
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Ledger(tmp_path), pytest.raises(ConfigError, match=f"{tmp_path}: this sweep is under way, in another process"):
        Ledger(tmp_path)
    Ledger(tmp_path).close()


def test_whoever_dies_gives_it_back(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from weft.sweep.ledger import *\n"
        "ledger = Ledger(Path(sys.argv[1])); ledger.plan([Job(0, 'i', (), {})]); ledger.begin(ledger.jobs()[0])\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == -9
    with Ledger(tmp_path) as ledger:
        assert [job.state for job in ledger.jobs()] == [State.RUNNING]


def test_all_of_a_plan_or_none(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        with pytest.raises(LedgerError):
            ledger.plan([job(0), replace(job(1), identity=None)])  # type: ignore[arg-type]
        assert ledger.jobs() == []


class TestCantBe:
    def test_of_a_newer_version(self, tmp_path: Path) -> None:
        Ledger(tmp_path).close()
        with sqlite3.connect(tmp_path / FILE) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        with pytest.raises(ConfigError, match=r"written by a newer weft \(its format is 99, this one knows 1\); update weft"):
            Ledger(tmp_path)

    @pytest.mark.parametrize("content", [b"not a database, and longer than the header of one" * 10, None])
    def test_no_ledger(self, tmp_path: Path, content: bytes | None) -> None:
        if content is None:
            with sqlite3.connect(tmp_path / FILE) as connection:
                connection.execute("CREATE TABLE other (x)")
            connection.close()
        else:
            (tmp_path / FILE).write_bytes(content)
        with pytest.raises(ConfigError, match="not the ledger of a sweep"):
            Ledger(tmp_path)
        with pytest.raises(ConfigError, match="not the ledger of a sweep"):
            Ledger(tmp_path)  # and the lock was given back

    def test_a_disk_that_is_full(self, tmp_path: Path) -> None:
        with Ledger(tmp_path) as ledger:
            ledger.plan([job()])
            pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
            ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
            with pytest.raises(LedgerError, match=r"sweep\.db: database or disk is full"):
                ledger.plan([job(1, reason="x" * 100_000)])
            assert [job.number for job in ledger.jobs()] == [0]


class TestSettled:
    @pytest.mark.parametrize(
        ("record", "found"),
        [
            ({}, (State.INTERRUPTED, "")),
            ({"status": "RUNNING"}, (State.INTERRUPTED, "")),
            ({"status": "KILLED"}, (State.INTERRUPTED, "")),
            ({"status": "FINISHED"}, (State.FINISHED, "")),
            ({"status": "FAILED", "error": "why"}, (State.FAILED, "why")),
        ],
    )
    def test_by_what_the_job_wrote(self, tmp_path: Path, record: dict[str, str], found: tuple[State, str]) -> None:
        folder = Folder(tmp_path)
        if record:
            folder.note(**record)
        assert settled(folder) == found

    def test_all_that_were_running(self, tmp_path: Path) -> None:
        with Ledger(tmp_path) as ledger:
            ledger.plan([job(0), job(1), job(2)])
            for one in ledger.jobs()[:2]:
                (tmp_path / str(one.number)).mkdir()
                ledger.begin(one)
            Folder(tmp_path / "0").note(status="FINISHED")
        with Ledger(tmp_path) as ledger:
            ledger.settle()
            assert [one.state for one in ledger.jobs()] == [State.FINISHED, State.INTERRUPTED, State.PLANNED]
            assert [one.attempts for one in ledger.jobs()] == [1, 1, 0]

    def test_not_while_it_is_alive(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_PATIENCE", 0.1)
        with FileLock(Folder(tmp_path).lock), pytest.raises(ConfigError, match="this run is under way, in another process"):
            settled(Folder(tmp_path))
        assert settled(Folder(tmp_path)) == (State.INTERRUPTED, "")
