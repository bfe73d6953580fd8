"""What a spool holds is what was put there whole."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from weft.errors import TrackingError
from weft.telemetry.progress import DONE, Progress
from weft.telemetry.spool import Pointer, Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_journal_is_pending_until_it_is_forgotten(spool: Spool, tmp_path: Path) -> None:
    pointers = [Pointer("b", 1, tmp_path / "b" / "1.journal"), *(Pointer("a", n, tmp_path / f"{n}.journal") for n in (2, 10))]
    assert spool.pending() == []
    for pointer in pointers:
        spool.register(pointer)
    assert spool.pending() == [*pointers[1:], pointers[0]]
    assert spool.is_pending(pointers[0])
    spool.forget(pointers[0])
    spool.forget(pointers[0])
    assert not spool.is_pending(pointers[0])
    assert spool.pending() == pointers[1:]


def test_what_a_process_or_a_machine_that_went_down_has_left_is_no_journal(spool: Spool, tmp_path: Path) -> None:
    spool.register(Pointer("a", 1, tmp_path / "1.journal"))
    folder = spool.folder / "journals"
    (folder / "b.1").touch()
    (folder / "c.1").write_bytes(b"\0" * 40)
    (folder / "d.1").write_text(str(tmp_path / "1.jour"))
    (folder / f".e.{os.getpid()}").write_text(str(tmp_path / "1.journal"))
    assert spool.pending() == [Pointer("a", 1, tmp_path / "1.journal")]


def test_a_folder_may_have_any_name(spool: Spool, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 \xff\n") / "1.journal"
    spool.register(Pointer("a", 1, path))
    assert spool.pending() == [Pointer("a", 1, path)]


def test_a_drain_ends_when_all_is_done_or_something_is_said_or_the_time_is_over(tmp_path: Path) -> None:
    spool = Spool(f"sqlite:///{tmp_path}/mlflow.db")
    spool.drain(60)
    pointer = Pointer("k", 1, tmp_path / "1.journal")
    spool.register(pointer)
    begin = time.monotonic()
    spool.drain(0.1)
    assert 0.1 <= time.monotonic() - begin < 10
    records = spool.open_progress()
    records.say("away")
    records.close()
    spool.drain(60)
    spool.forget(pointer)
    spool.drain(60)
    assert time.monotonic() - begin < 30


def test_that_of_a_server_is_the_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_state_path", lambda name: tmp_path / name)
    one, other = Spool("http://localhost:1"), Spool("http://localhost:2")
    assert one.folder.parent == tmp_path / "weft" / "spools"
    assert one.folder != other.folder


def test_progress_that_is_locked_or_has_no_room_is_not_thrown_away(spool: Spool) -> None:
    pointer = Pointer("k", 1, spool.folder / "1.journal")
    records = spool.open_progress()
    records.save("k", 1, Progress("run", 7, DONE))
    records.close()
    holder = sqlite3.connect(spool.folder / "progress.db", isolation_level=None)
    holder.execute("PRAGMA journal_mode = DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TrackingError, match="database is locked"):
        spool.open_progress()
    holder.execute("ROLLBACK")
    holder.close()
    assert spool.progress_of(pointer) == Progress("run", 7, DONE)
