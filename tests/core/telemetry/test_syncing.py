"""weft sync and weft verify: what is left is shipped, to any store; what differs is found; mistakes are one message."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.core.telemetry.conftest import Client, Track, begun, point, ship, stop_shipper
from weft import cli
from weft.errors import ConfigError, TrackingError
from weft.telemetry import journal, lease, shipping, syncing, verification
from weft.telemetry.recording import JournalTracker
from weft.telemetry.spool import Spool
from weft.telemetry.tracker import Status

pytestmark = pytest.mark.integration

_NOW = 1_700_000_000_000


@pytest.fixture
def second(tmp_path: Path, template: Path) -> Iterator[str]:
    """Another store."""
    (tmp_path / "second").mkdir()
    shutil.copy(template, tmp_path / "second" / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/second/mlflow.db"
    yield uri
    stop_shipper(uri)


@pytest.fixture
def shipped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is to see that somebody ships does it itself."""
    monkeypatch.setattr(shipping, "ensure", lambda spool: ship(spool.uri))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, track: Track, store: str) -> JournalTracker:
    """A run that was made while nobody shipped."""
    with monkeypatch.context() as patch:
        patch.setattr(shipping, "ensure", lambda spool: None)
        tracker = begun(track(store, wait=0), "offline", params={"lr": "0.1"})
        tracker.log([point("loss", step / 7, step, _NOW + step) for step in range(100)])
        notes = tracker._folder / "notes.txt"
        notes.write_text("kept")
        tracker.artifact(notes)
        tracker.end(Status.FINISHED)
    return tracker


def typed(*arguments: str) -> int:
    """Type a command; return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["weft", *arguments])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
    raise AssertionError("a command ends the program")


def test_an_offline_run_is_shipped_later_and_to_a_second_store_as_well(
    offline: JournalTracker, store: str, second: str, shipped_at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(offline._folder.parent)
    assert typed("verify", root) == 1
    assert "not in the store" in capsys.readouterr().out
    assert typed("sync", root) == 0
    assert "1 journals shipped, 0 were in the store before" in capsys.readouterr().out
    assert typed("verify", root) == 0
    assert "1 of 1 runs are in MLflow whole, and once" in capsys.readouterr().out
    assert typed("sync", root) == 0
    assert "0 journals shipped, 1 were in the store before" in capsys.readouterr().out
    assert typed("sync", root, "--uri", second) == 0
    assert typed("verify", root, "--uri", second) == 0
    assert typed("sync", root, "--uri", second, "--prune") == 0
    assert "journals of 1 runs removed, 0 kept" in capsys.readouterr().out
    assert sorted(path.name for path in offline._folder.iterdir()) == ["1.lock", "notes.txt"]
    assert typed("verify", root) == 2


def _delete_point(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM metrics WHERE step = 3 AND key = 'loss'")


def _add_point(database: sqlite3.Connection) -> None:
    database.execute("INSERT INTO metrics SELECT key, value, timestamp + 1, run_uuid, step, is_nan FROM metrics WHERE step = 3")


def _change_value(database: sqlite3.Connection) -> None:
    database.execute("UPDATE metrics SET value = value * (1 + 1e-16) + 1e-16 WHERE step = 3")


def _change_param(database: sqlite3.Connection) -> None:
    database.execute("UPDATE params SET value = '0.2'")


def _change_status(database: sqlite3.Connection) -> None:
    database.execute("UPDATE runs SET status = 'FAILED'")


@pytest.mark.parametrize(
    ("change", "missing", "doubled", "problem"),
    [
        (_delete_point, 1, 0, ""),
        (_add_point, 0, 1, ""),
        (_change_value, 1, 1, ""),
        (_change_param, 0, 0, "param lr is '0.2', not '0.1'"),
        (_change_status, 0, 0, "status is FAILED, not FINISHED"),
    ],
)
def test_what_differs_is_found(
    change: Callable[[sqlite3.Connection], None],
    missing: int,
    doubled: int,
    problem: str,
    offline: JournalTracker,
    store: str,
    shipped_at_once: None,
) -> None:
    ship(store)
    assert verification.verify(offline._folder, store).is_right
    with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
        change(database)
    database.close()
    finding = verification.verify(offline._folder, store)
    assert (finding.missing, finding.doubled, finding.problems) == (missing, doubled, [problem] if problem else [])
    assert not finding.is_right
    assert not syncing.prune(offline._folder, store)
    assert journal.attempts(offline._folder)


def test_an_artifact_that_is_missing_or_was_changed_is_found(
    offline: JournalTracker, store: str, client: Client, shipped_at_once: None
) -> None:
    ship(store)
    finding = verification.verify(offline._folder, store)
    kept = Path(client(store).get_run(str(finding.run_id)).info.artifact_uri.removeprefix("file://")) / "notes.txt"
    kept.write_text("longer than it was")
    assert verification.verify(offline._folder, store).problems == ["artifact notes.txt has 18 bytes, not 4"]
    kept.unlink()
    assert verification.verify(offline._folder, store).problems == ["artifact notes.txt isn't there"]


def test_a_run_under_way_is_not_waited_for(
    store: str, track: Track, monkeypatch: pytest.MonkeyPatch, shipped_at_once: None, unshipped: None
) -> None:
    tracker = begun(track(store, wait=0), "live")
    tracker.log([point("x", 1.0, 1, _NOW)])
    monkeypatch.setattr(lease, "held", lambda path: path == journal.lock_of(tracker._pointer.path))
    result = syncing.sync([tracker._folder], None)
    assert (result.shipped, result.under_way, result.problems) == (0, 1, [])
    finding = verification.verify(tracker._folder, store)
    assert finding.under_way
    assert not finding.is_right


class TestMistakes:
    def test_a_store_that_can_not_be_reached(self, offline: JournalTracker, capsys: pytest.CaptureFixture[str]) -> None:
        before = offline._pointer.path.read_bytes()
        for command in ("sync", "verify"):
            assert typed(command, str(offline._folder), "--uri", "http://127.0.0.1:9") == 1
            told = capsys.readouterr().err
            assert "http://127.0.0.1:9: can't be reached, or is no MLflow store" in told
            assert "Traceback" not in told
        assert offline._pointer.path.read_bytes() == before

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (("--uri", "nowhere"), "is a folder, and MLflow's file store"),
            (("--uri", "foo://bar"), "no store that MLflow has"),
            (("/nowhere/at/all",), "does not exist"),
        ],
    )
    @pytest.mark.parametrize("command", ["sync", "verify"])
    def test_what_can_not_be_meant(
        self, command: str, arguments: tuple[str, ...], why: str, offline: JournalTracker, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = () if arguments[0].startswith("/") else (str(offline._folder),)
        assert typed(command, *folder, *arguments) == 2
        assert why in capsys.readouterr().err

    def test_a_folder_without_journals(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "empty").mkdir()
        assert typed("verify", str(tmp_path / "empty")) == 2
        assert "no journals in" in capsys.readouterr().err

    @pytest.mark.parametrize("command", ["sync", "verify"])
    def test_a_journal_that_is_none_is_told_and_stays(
        self, command: str, offline: JournalTracker, shipped_at_once: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ship(offline._spool.uri)
        bad = offline._folder.parent / "bad"
        bad.mkdir()
        (bad / "1.journal").write_bytes(b"no journal at all" * 10)
        newer = offline._folder.parent / "newer"
        shutil.copytree(offline._folder, newer)
        with sqlite3.connect(newer / "1.journal") as connection:
            connection.execute("PRAGMA user_version = 5")
        connection.close()
        assert typed(command, str(offline._folder.parent)) == 1
        told = " ".join(capsys.readouterr().out.split())
        assert "is no journal of weft's" in told
        assert "by a newer weft, in format 5; this one knows 1" in told
        assert (bad / "1.journal").read_bytes() == b"no journal at all" * 10

    def test_a_store_whose_password_was_not_kept(
        self, store: str, track: Track, unshipped: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        tracker = begun(track("postgresql://ann:hush@127.0.0.1:9/runs", wait=0), "secret")
        tracker.end(Status.FINISHED)
        with pytest.raises(ConfigError, match=r"--uri: .*1.journal was written for postgresql://\[redacted\]@"):
            syncing.sync([tracker._folder], None)
        assert b"hush" not in tracker._pointer.path.read_bytes()

    def test_a_store_that_fails_while_it_is_shipped_to(
        self, offline: JournalTracker, store: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(spool: Spool) -> None:
            records = spool.open_progress()
            records.say("the disk is on fire")
            records.close()

        monkeypatch.setattr(shipping, "ensure", fails)
        with pytest.raises(TrackingError, match="the disk is on fire; 1 journals are left, and are tried again"):
            syncing.sync([offline._folder], None)

    def test_a_journal_of_which_not_a_word_was_written(self, tmp_path: Path, store: str, shipped_at_once: None) -> None:
        folder = tmp_path / "begun"
        folder.mkdir()
        (folder / "1.journal").touch()
        for uri in (None, store):
            assert syncing.sync([folder], uri).problems == []
            finding = verification.verify(folder, uri)
            assert (finding.points, finding.is_right) == (0, True)

    @pytest.mark.parametrize("own", [True, False])
    def test_a_run_that_has_just_begun_is_not_pruned(
        self, own: bool, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "begun"
        folder.mkdir()
        (folder / "1.journal").touch()
        monkeypatch.setattr(lease, "held", lambda path: path == folder / "1.lock")
        assert not syncing.prune(folder, None if own else store)
        assert (folder / "1.journal").exists()

    def test_a_journal_that_is_none_keeps_no_other_from_being_pruned(
        self, offline: JournalTracker, shipped_at_once: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bad = offline._folder.parent / "a"
        bad.mkdir()
        (bad / "1.journal").write_bytes(b"no journal at all" * 10)
        assert typed("sync", "--prune", str(offline._folder.parent)) == 1
        assert "journals of 1 runs removed, 1 kept" in capsys.readouterr().out
        assert (bad / "1.journal").exists()


def test_values_as_the_tables_hold_them() -> None:
    import math

    assert verification._as_stored(math.inf) == 1.7976931348623157e308
    assert verification._as_stored(-math.inf) == -1.7976931348623157e308
    assert verification._as_stored(math.nan) == math.inf
    assert math.copysign(1, verification._as_stored(-0.0)) == 1


def test_a_run_that_goes_on_after_its_journals_were_pruned_arrives(
    store: str, track: Track, client: Client, unshipped: None, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    first = begun(track(store, folder=folder, wait=0), "pruned", key="k")
    first.log([point("x", float(step), step, _NOW + step) for step in range(5)])
    first.end(Status.FINISHED)
    ship(store)
    assert syncing.prune(folder, store)
    assert not journal.attempts(folder)
    second = begun(track(store, folder=folder, wait=0), "pruned", key="k")
    assert second._pointer.attempt == 2
    second.log([point("x", float(step), step, _NOW + step) for step in range(5, 8)])
    second.end(Status.FINISHED)
    ship(store)
    finding = verification.verify(folder, store)
    assert (finding.is_right, finding.points) == (True, 3), finding
    reader = client(store)
    assert finding.run_id is not None
    assert sorted(m.step for m in reader.get_metric_history(finding.run_id, "x")) == [*range(8)]


def test_a_run_that_can_be_gone_on_with_keeps_its_journals(store: str, track: Track, unshipped: None, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    tracker = begun(track(store, folder=folder, wait=0), "kept", key="k")
    tracker.end(Status.KILLED)
    ship(store)
    (folder / "checkpoint.safetensors").touch()
    assert not syncing.prune(folder, store)
    (folder / "checkpoint.safetensors").unlink()
    assert syncing.prune(folder, store)


def test_a_journal_among_artifacts_is_no_run(offline: JournalTracker) -> None:
    copied = offline._folder / "artifacts" / "deep"
    copied.mkdir(parents=True)
    (copied / "1.journal").touch()
    assert verification.folders(offline._folder.parent) == [offline._folder]


def test_a_store_that_is_not_there_is_not_made_by_looking_for_it(
    offline: JournalTracker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing.db"
    assert typed("verify", str(offline._folder), "--uri", f"sqlite:///{missing}") == 2
    assert "there is no such file" in capsys.readouterr().err
    assert not missing.exists()


def test_damage_is_told_each_time(offline: JournalTracker, store: str, shipped_at_once: None) -> None:
    with sqlite3.connect(offline._pointer.path) as connection:
        connection.execute("DELETE FROM entries WHERE seq = 5")
    connection.close()
    first, second = (syncing.sync([offline._folder], store) for _ in range(2))
    assert (first.shipped, second.before) == (1, 1)
    assert [len(result.problems) for result in (first, second)] == [1, 1]


def test_a_run_that_is_deleted_is_not_whole_and_keeps_its_journals(
    offline: JournalTracker, store: str, client: Client, shipped_at_once: None
) -> None:
    ship(store)
    run_id = str(verification.verify(offline._folder, store).run_id)
    client(store).delete_run(run_id)
    assert (
        f"deleted in the store (mlflow runs restore --run-id {run_id}" in verification.verify(offline._folder, None).problems[0]
    )
    assert not syncing.prune(offline._folder, None)
    client(store).restore_run(run_id)
    assert syncing.prune(offline._folder, None)


def test_a_store_that_was_lost_gets_all_of_it_again(
    offline: JournalTracker, store: str, template: Path, shipped_at_once: None
) -> None:
    assert syncing.sync([offline._folder], None).shipped == 1
    shutil.copy(template, store.removeprefix("sqlite:///"))
    result = syncing.sync([offline._folder], None)
    assert (result.shipped, result.before) == (1, 0)
    assert verification.verify(offline._folder, store).is_right
    assert syncing.sync([offline._folder], None).before == 1


def test_what_its_own_store_waits_for_is_not_pruned(
    offline: JournalTracker, store: str, second: str, shipped_at_once: None
) -> None:
    assert syncing.sync([offline._folder], second).shipped == 1
    assert not syncing.prune(offline._folder, second)
    assert syncing.sync([offline._folder], None).shipped == 1
    assert syncing.prune(offline._folder, second)


def test_a_folder_that_was_moved_takes_its_artifacts_along(
    offline: JournalTracker, store: str, second: str, shipped_at_once: None, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere" / "run"
    moved.parent.mkdir()
    offline._folder.rename(moved)
    assert syncing.sync([moved], second).problems == []
    finding = verification.verify(moved, second)
    assert finding.is_right, finding
    (moved / "notes.txt").write_text("longer than it was")
    assert "artifact notes.txt has 4 bytes, not 18" in verification.verify(moved, second).problems


def test_a_store_that_is_away_keeps_no_other_back(
    offline: JournalTracker,
    store: str,
    track: Track,
    shipped_at_once: None,
    unshipped: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for uri in ("http://127.0.0.1:9", "postgresql+psycopg://ann:hush@127.0.0.1:9/d"):
        for _ in range(2):
            begun(track(uri, wait=0), "away").end(Status.FINISHED)
    ship(store)
    root = str(offline._folder.parent)
    monkeypatch.setattr(shipping, "ensure", lambda spool: ship(spool.uri))
    assert typed("sync", root) == 1
    told = capsys.readouterr().out
    assert "0 journals shipped, 1 were in the store before" in told
    assert told.count("http://127.0.0.1:9: can't be reached") == 1
    assert told.count("give the address with its password") == 2
    assert typed("verify", root) == 1
    assert "1 of 5 runs are in MLflow whole" in capsys.readouterr().out
    assert typed("verify", root, "--uri", "http://127.0.0.1:9") == 1
    assert "error: http://127.0.0.1:9: can't be reached" in capsys.readouterr().err


def test_a_folder_that_can_not_be_read_is_not_left_out(
    offline: JournalTracker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = offline._folder.parent

    def scandir(path: Any) -> Any:
        if Path(path) == offline._folder:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    real = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    for command in ("sync", "verify"):
        assert typed(command, str(root)) == 2
        assert f"{offline._folder}: can't be read (Permission denied)" in capsys.readouterr().err


def test_a_pipe_in_the_place_of_a_journal_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.journal")
    assert verification.verify(tmp_path, None).problems == [f"{tmp_path}/1.journal: is no journal of weft's"]
