"""What a tracker does when the disk, the spool or an earlier attempt's journal fails it: in this process, and unshipped."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.core.telemetry.conftest import Track, begun, point
from weft.errors import TrackingError, UserError
from weft.telemetry import journal, lease, recording, shipping
from weft.telemetry.recording import JournalTracker
from weft.telemetry.spool import Spool
from weft.telemetry.tracker import Opening, Row, Status

_NOW = 1_700_000_000_000

pytestmark = pytest.mark.usefixtures("unshipped")


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """Of a store that nobody opens."""
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def tracker(uri: str, track: Track) -> JournalTracker:
    return begun(track(uri, wait=0), "x")


Disk = Callable[[str], None]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Have every transaction fail with this error, or with none."""
    error = [""]
    append = journal.Journal.append

    def fails(self: journal.Journal, items: Any) -> None:
        if error[0]:
            raise sqlite3.OperationalError(error[0])
        append(self, items)

    monkeypatch.setattr(journal.Journal, "append", fails)
    monkeypatch.setattr(recording, "_RETRY", 0.0)
    return lambda text: error.__setitem__(0, text)


def steps(tracker: JournalTracker) -> list[int]:
    """Return the steps of the rows that a tracker's journal holds."""
    return [row.step for row in journal.rows(tracker._pointer.path, 0)]


def kinds(tracker: JournalTracker) -> list[str]:
    return [entry.kind for entry in journal.read(tracker._pointer.path, 1, 10**6)[0]]


def test_what_a_full_disk_does_not_take_waits_and_is_written_in_order(
    tracker: JournalTracker, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    tracker.log([point("x", 0.0, 0, _NOW)])
    disk("database or disk is full")
    for step in range(1, 2500):
        tracker.log([point("x", 0.0, step, _NOW)])
    tracker.tag({"a": "b"})
    assert tracker.waiting == 2500
    assert steps(tracker) == [0]
    assert lease.count(journal.lock_of(tracker._pointer.path)) == 3, "what waits is not acknowledged"
    disk("")
    tracker.log([point("x", 0.0, 2500, _NOW)])
    assert tracker.waiting == 0
    assert steps(tracker) == [*range(2501)]
    assert lease.count(journal.lock_of(tracker._pointer.path)) == 2504
    path = tracker._pointer.path
    assert caplog.messages == [
        f"{path}: database or disk is full; the run goes on, and what it reports waits in memory",
        f"{path}: can be written again; what waited has been written",
    ]
    tracker.end(Status.FINISHED)


def test_it_is_not_tried_again_at_once(tracker: JournalTracker, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_RETRY", 3600.0)
    disk("disk I/O error")
    tracker.log([point("x", 0.0, 0, _NOW)])
    disk("")
    tracker.log([point("x", 0.0, 1, _NOW)])
    assert (tracker.waiting, steps(tracker)) == (2, [])
    tracker.end(Status.FINISHED)
    assert steps(tracker) == [0, 1]
    assert kinds(tracker)[-1] == "end"


def test_a_disk_that_fails_half_way_has_taken_the_first_half(
    tracker: JournalTracker, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk("disk I/O error")
    tracker.log([point("x", 0.0, step, _NOW) for step in range(2500)])
    disk("")
    append, calls = journal.Journal.append, [0]

    def fails(self: journal.Journal, items: Any) -> None:
        calls[0] += 1
        if calls[0] == 3:
            raise sqlite3.OperationalError("disk I/O error")
        append(self, items)

    monkeypatch.setattr(journal.Journal, "append", fails)
    tracker.log([point("x", 0.0, 2500, _NOW)])
    assert tracker.waiting == 501
    assert steps(tracker) == [*range(2000)]
    tracker.log([])
    assert steps(tracker) == [*range(2501)]


def test_of_too_many_the_latest_wait_and_it_is_told(
    tracker: JournalTracker, disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording, "_MOST_WAITING", 100)
    disk("database or disk is full")
    tracker.tag({"first": "1"})
    for step in range(500):
        tracker.log([Row(step, _NOW, ["a", "b"], [0.0, 1.0])])
        assert tracker.waiting <= 51
    disk("")
    tracker.tag({"last": "1"})
    kept = steps(tracker)
    assert kept == [*range(500 - len(kept), 500)]
    assert 45 <= len(kept) <= 50
    assert kinds(tracker).count("tags") == 2
    assert caplog.messages[-1].endswith(f"written, but for {500 - len(kept)} rows that were too many to wait")
    with pytest.raises(TrackingError, match=f"^{500 - len(kept)} entries could not be kept in"):
        tracker.end(Status.FINISHED)


def test_what_can_never_be_written_is_refused_also_when_it_would_have_to_wait(tracker: JournalTracker, disk: Disk) -> None:
    disk("database or disk is full")
    tracker.log([point("x", 0.0, 0, _NOW)])
    with pytest.raises(UserError, match="x: 'much' at step 1 is no number"):
        tracker.log([point("x", 0.5, 1, _NOW), point("x", "much", 1, _NOW)])  # type: ignore[arg-type]
    disk("")
    tracker.log([point("x", 0.0, 2, _NOW)])
    assert steps(tracker) == [0, 2]


def test_the_end_is_tried_twice(tracker: JournalTracker, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk("disk I/O error")
    monkeypatch.setattr(tracker, "_note_failure", lambda error: disk(""))
    tracker.end(Status.FINISHED)
    assert kinds(tracker)[-1] == "end"


def test_a_disk_that_stays_full_is_told_at_the_end(tracker: JournalTracker, disk: Disk) -> None:
    disk("database or disk is full")
    tracker.log([point("x", 0.0, 0, _NOW)])
    lock = journal.lock_of(tracker._pointer.path)
    with pytest.raises(TrackingError, match=r"^2 entries could not be kept in .*1\.journal: database or disk is full$"):
        tracker.end(Status.FINISHED)
    lease.Lease(lock).release()
    with pytest.raises(TrackingError, match="the run has ended"):
        tracker.log([])


def test_with_strict_a_full_disk_ends_the_run_and_lets_go_of_it(uri: str, track: Track, disk: Disk) -> None:
    tracker = begun(track(uri, wait=0, strict=True), "x")
    disk("database or disk is full")
    for call in (lambda: tracker.log([point("x", 0.0, 0, _NOW)]), lambda: tracker.end(Status.FAILED)):
        with pytest.raises(TrackingError, match=r"database or disk is full \(telemetry.strict=true\)"):
            call()
    assert tracker.waiting == 0
    with pytest.raises(TrackingError, match="the run has ended"):
        tracker.end(Status.FAILED)
    assert tracker._ended.is_set()
    assert tracker not in recording._alive


def test_where_no_journal_can_be_made_nothing_is_left_open(
    uri: str, track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(os.listdir("/proc/self/fd"))

    def full(self: journal.Journal, items: Any, batch: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(journal.Journal, "_add", full)
        tracker = track(uri, wait=0, folder=tmp_path / "run")
        with pytest.raises(TrackingError, match=f"no journal can be kept in {tmp_path}/run: database or disk is full"):
            tracker.start(Opening("x", "x"))
    assert len(os.listdir("/proc/self/fd")) == before
    assert tracker.known_id is None
    for call in (lambda: tracker.log([]), lambda: tracker.end(Status.FAILED)):
        with pytest.raises(TrackingError, match="not started"):
            call()
    again = begun(track(uri, wait=0, folder=tmp_path / "run"), "x")
    again.end(Status.FINISHED)
    assert kinds(again) == ["journal", "open", "end"]
    (tmp_path / "file").touch()
    with pytest.raises(TrackingError, match="no journal can be kept in .*Not a directory"):
        begun(track(uri, folder=tmp_path / "file" / "run"), "x")


@pytest.mark.parametrize("fails", ["register", "ensure"])
def test_a_spool_that_can_not_be_written_is_told_before_training_starts(
    fails: str, uri: str, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((recording.Spool, "register") if fails == "register" else (shipping, "ensure")), full)
    tracker = track(uri, wait=0)
    with pytest.raises(TrackingError, match=rf"nothing can be shipped to {uri}: .*No space left on device"):
        begun(tracker, "x")
    tracker.end(Status.FAILED)
    assert kinds(tracker) == ["journal", "open", "end"]


def test_a_network_s_file_system_is_told(
    uri: str, track: Track, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal, "file_system", lambda path: "nfs4")
    tracker = begun(track(uri, wait=0), "x")
    tracker.log([point("x", 0.0, 0, _NOW)])
    tracker.end(Status.FINISHED)
    assert caplog.messages == [
        f"{tracker._folder} is on a network file system (nfs4): its journal is kept in a slower way; a local disk is better"
    ]
    assert steps(tracker) == [0]


def test_beside_the_training_the_disk_is_synchronized_and_who_ships_looked_after(
    uri: str, track: Track, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error there is told once, and the next turn tries anew."""
    turns = {"synchronize": threading.Semaphore(0), "ensure": threading.Semaphore(0)}

    def synchronize(self: journal.Journal) -> None:
        turns["synchronize"].release()
        raise OSError(errno.EIO, "Input/output error")

    def ensure(spool: object) -> None:
        turns["ensure"].release()
        raise TrackingError("no process can be started")

    monkeypatch.setattr(recording, "_SYNCHRONIZE", 0.001)
    monkeypatch.setattr(recording, "_LOOK_AFTER_SHIPPER", 0.002)
    tracker = begun(track(uri, wait=0), "x")
    monkeypatch.setattr(shipping, "ensure", ensure)
    assert all(turns["ensure"].acquire(timeout=60) for _ in range(3))
    assert caplog.messages == [f"{tracker._pointer.path}, shipped to {uri}: no process can be started"]
    monkeypatch.setattr(journal.Journal, "synchronize", synchronize)
    assert all(turns["synchronize"].acquire(timeout=60) for _ in range(3))
    tracker.end(Status.FINISHED)
    assert caplog.messages[1:] == [f"{tracker._pointer.path}, shipped to {uri}: [Errno {errno.EIO}] Input/output error"]


class TestRewind:
    """The second attempt at a run repeats steps of the first."""

    @pytest.fixture
    def second(self, uri: str, track: Track, tmp_path: Path) -> JournalTracker:
        first = begun(track(uri, wait=0, folder=tmp_path / "run"), "x")
        values = [0.0, -0.0, math.nan, math.inf, 0.1]
        first.log([Row(step, _NOW, ["a", "system/cpu"], [value, 1.0]) for step, value in enumerate(values)])
        first.log([Row(4, _NOW, ["a"], [0.2])])
        first.end(Status.KILLED)
        return begun(track(uri, wait=0, folder=tmp_path / "run"), "x")

    def told(self, tracker: JournalTracker) -> list[dict[str, str]]:
        return [json.loads(entry.content) for entry in journal.read(tracker._pointer.path, 1, 99)[0] if entry.kind == "tags"]

    def test_what_comes_again_is_not_recorded_again(self, second: JournalTracker) -> None:
        second.rewind(2)
        values = [math.nan, math.inf, 0.1, 5.0]
        second.log([Row(step, _NOW, ["a", "system/cpu"], [value, 1.0]) for step, value in enumerate(values, 2)])
        second.log([Row(4, _NOW, ["a"], [0.2]), Row(4, _NOW, ["a"], [0.2])])
        assert [(row.step, row.keys, row.values) for row in journal.rows(second._pointer.path, 0)] == [
            (5, ["a", "system/cpu"], (5.0, 1.0)),
            (4, ["a"], (0.2,)),
        ]
        assert self.told(second) == []

    def test_what_comes_out_differently_stands_beside_the_first_and_is_told_once(self, second: JournalTracker) -> None:
        second.rewind(0)
        second.log([Row(step, _NOW, ["a", "system/cpu"], [0.5, 2.0]) for step in range(3)])
        assert [row.values for row in journal.rows(second._pointer.path, 0)] == [(0.5, 2.0)] * 3
        assert self.told(second) == [{"weft.resume_diverged": "a at step 0 came out differently"}]

    def test_a_first_attempt_that_left_no_word_or_an_unreadable_one_is_told(
        self, second: JournalTracker, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = second._folder / "1.journal"
        path.write_bytes(b"")
        second.rewind(0)
        path.unlink()
        path.mkdir()
        second.rewind(0)
        (told,) = caplog.messages
        assert re.fullmatch(rf"{path}: .+; what it holds may be recorded twice", told)
        second.log([Row(0, _NOW, ["a"], [0.0])])
        assert steps(second) == [0]


class TestFork:
    def test_a_run_is_its_parent_s(self, tracker: JournalTracker) -> None:
        connection = tracker._begun()._connection
        recording._leave_to_parent()
        with pytest.raises(TrackingError, match="not by its forks"):
            tracker.log([point("x", 1.0, 0, _NOW)])
        assert list(recording._alive) == []
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (2,), "it is open still"
        connection.close()

    def test_a_signal_leaves_word_in_every_run(self, tracker: JournalTracker) -> None:
        recording.note_signal("SIGINT")
        assert lease.word(journal.lock_of(tracker._pointer.path)) == "SIGINT"
        tracker.end(Status.KILLED)
        recording.note_signal("SIGTERM")
        assert lease.word(journal.lock_of(tracker._pointer.path)) == "SIGINT"


def test_at_the_end_it_is_told_that_nobody_can_ship(
    tracker: JournalTracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(spool: object) -> None:
        raise TrackingError("the process that ships can't be started")

    monkeypatch.setattr(shipping, "ensure", broken)
    monkeypatch.setattr(tracker, "_wait", 0.01)
    tracker.end(Status.FINISHED)
    assert "the process that ships can't be started" in caplog.text


def test_values_are_kept_from_eyes_that_look_for_secrets(uri: str, track: Track, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tracker = begun(track(uri, wait=0), "x", params={"api_key": "hush"}, tags={"url": "https://ann:hush@host/"})
    tracker.tag({"my_token": "hush"})
    tracker.end(Status.FINISHED)
    assert b"hush" not in tracker._pointer.path.read_bytes()


def test_a_spool_that_is_lost_under_a_run_is_made_anew(tracker: JournalTracker, uri: str) -> None:
    shutil.rmtree(tracker._spool.folder)
    tracker.end(Status.FINISHED)
    assert Spool(uri).is_pending(tracker._pointer)


def test_what_was_said_before_a_run_began_is_no_news_of_it(
    uri: str, track: Track, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shipping, "ensure", lambda spool: None)
    records = Spool(uri).open_progress()
    records.say("yesterday")
    tracker = begun(track(uri, wait=0.05), "x")
    tracker.end(Status.FINISHED)
    assert caplog.messages == []
    records.say("today")
    with pytest.raises(TrackingError, match="today"):
        _ = tracker.run_id
    records.close()


def test_a_journal_that_is_gone_is_told(
    uri: str, track: Track, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shipping, "ensure", lambda spool: None)
    monkeypatch.setattr(recording, "_SYNCHRONIZE", 0.001)
    tracker = begun(track(uri, wait=0), "x")
    shutil.rmtree(tracker._folder)
    deadline = time.monotonic() + 60
    while not caplog.messages and time.monotonic() < deadline:
        time.sleep(0.01)
    assert f"No such file or directory: '{tracker._pointer.path}'" in caplog.text
