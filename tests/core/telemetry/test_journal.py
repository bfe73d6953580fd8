"""A journal keeps every bit, in order, and says what it can't read."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sqlite3
import stat
import struct
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.errors import JournalError, UserError
from weft.telemetry import journal
from weft.telemetry.journal import Damage, Event, Journal
from weft.telemetry.lease import Lease
from weft.telemetry.tracker import Row

_NOW = 1_700_000_000_000
_LEAST = -(2**63)

finite_or_not = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([-0.0, 5e-324, math.nan, -math.inf])
rows = st.builds(
    lambda step, at, pairs: Row(step, at, [*pairs], [*pairs.values()]),
    st.integers(_LEAST, -_LEAST - 1),
    st.integers(0, 2**50),
    st.dictionaries(st.text(), finite_or_not, min_size=1, max_size=4),
)


def kept(path: Path) -> list[Row]:
    return list(journal.rows(path, _LEAST))


def bits(values: Any) -> list[bytes]:
    return [struct.pack("<d", value) for value in values]


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(rows, max_size=6), max_size=6))
def test_every_value_is_kept_bit_for_bit_in_order(batches: list[list[Row]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("journal") / "1.journal"
    written = Journal(path, {"key": "k"})
    for batch in batches:
        written.append(batch)
    written.close()
    given = [row for batch in batches for row in batch]
    read = kept(path)
    assert [(row.step, [*row.keys], bits(row.values)) for row in read] == [
        (row.step, [*row.keys], bits(row.values)) for row in given
    ]
    last: dict[str, tuple[int, int]] = {}
    for before, row in zip(given, read, strict=True):
        assert row.timestamp >= before.timestamp
        for key in row.keys:
            if key in last:
                assert row.timestamp >= last[key][0], "of one key, no time is before the last"
                assert (row.timestamp, row.step) != last[key], "two points of one key are told apart"
            last[key] = (row.timestamp, row.step)


def test_events_and_rows_stand_in_the_order_they_came(tmp_path: Path) -> None:
    written = Journal(tmp_path / "1.journal", {"key": "k", "attempt": 1})
    written.append([Event("open", {"name": "n"}), Row(0, _NOW, ["a"], [1.0]), Event("tags", {"b": "2"})])
    written.append([Event("end", {"status": "FINISHED"}, _NOW + 5)])
    written.close()
    entries, damage = journal.read(tmp_path / "1.journal", 1, 100)
    assert damage is None
    assert [(entry.seq, entry.kind) for entry in entries] == [
        (1, "journal"),
        (2, "open"),
        (3, "row"),
        (4, "tags"),
        (5, "end"),
    ]
    assert entries[0].told == {"format": journal.FORMAT, "key": "k", "attempt": 1}
    assert entries[4].at == _NOW + 5
    assert [entry.seq for entry in journal.read(tmp_path / "1.journal", 3, 2)[0]] == [3, 4]
    assert journal.header(tmp_path / "1.journal") == {"format": 1, "key": "k", "attempt": 1}


def test_it_is_for_its_owner_s_eyes(tmp_path: Path) -> None:
    written = Journal(tmp_path / "1.journal", {})
    written.append([Row(0, _NOW, ["a"], [1.0])])
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert {file.name for file in tmp_path.iterdir()} == {"1.journal", "1.journal-wal", "1.journal-shm"}
    written.close()


def test_one_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    Journal(tmp_path / "1.journal", {}).close()
    with pytest.raises(FileExistsError):
        Journal(tmp_path / "1.journal", {})


@pytest.mark.parametrize("at", [0, -5, -(2**40)])
def test_a_clock_before_1970_begins_there(at: int, tmp_path: Path) -> None:
    written = Journal(tmp_path / "1.journal", {})
    written.append([Row(1, at, ["a"], [1.0]), Row(1, at, ["a"], [1.0]), Row(2, at, ["a"], [1.0])])
    written.close()
    assert [row.timestamp for row in kept(tmp_path / "1.journal")] == [0, 1, 1]


def test_a_clock_that_jumps_leaves_the_times_of_a_key_in_order(tmp_path: Path) -> None:
    year = 365 * 24 * 3600 * 1000
    written = Journal(tmp_path / "1.journal", {})
    for step, at in enumerate([_NOW, _NOW - 3_600_000, _NOW + 10 * year, _NOW + 5, 0]):
        written.append([Row(step, at, ["a"], [0.0]), Row(step, at, [f"own{step}"], [0.0])])
    written.close()
    read = kept(tmp_path / "1.journal")
    later = _NOW + 10 * year
    assert [row.timestamp for row in read if row.keys == ["a"]] == [_NOW, _NOW, later, later, later]
    assert [row.timestamp for row in read if row.keys != ["a"]] == [_NOW, _NOW - 3_600_000, later, _NOW + 5, 0]


def test_a_step_that_comes_back_is_another_point(tmp_path: Path) -> None:
    written = Journal(tmp_path / "1.journal", {})
    for step in (0, 1, 0, 1, 1, 5):
        written.append([Row(step, _NOW, ["a"], [0.0])])
    written.close()
    assert [row.timestamp - _NOW for row in kept(tmp_path / "1.journal")] == [0, 0, 1, 1, 2, 2]


def test_a_hundred_thousand_keys_are_kept_apart(tmp_path: Path) -> None:
    written = Journal(tmp_path / "1.journal", {})
    for start in range(0, 100_000, 10_000):
        written.append([Row(0, _NOW, [f"key{number}"], [float(number)]) for number in range(start, start + 10_000)])
    written.close()
    assert [(row.keys, row.values) for row in kept(tmp_path / "1.journal")] == [
        ([f"key{number}"], (float(number),)) for number in range(100_000)
    ]


def test_a_refused_row_leaves_nothing_of_its_batch(tmp_path: Path) -> None:
    written = Journal(tmp_path / "1.journal", {})
    with pytest.raises(UserError):
        written.append([Row(0, _NOW, ["new"], [1.0]), Row(0, _NOW, ["bad"], ["x"])])  # type: ignore[list-item]
    written.append([Row(0, _NOW, ["new"], [2.0])])
    written.close()
    assert [(row.keys, row.values) for row in kept(tmp_path / "1.journal")] == [(["new"], (2.0,))]


def test_a_disk_that_is_full_refuses_and_takes_again(tmp_path: Path) -> None:
    written = Journal(tmp_path / "1.journal", {})
    (pages,) = written._connection.execute("PRAGMA page_count").fetchone()
    written._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    acknowledged = 0
    with pytest.raises(sqlite3.OperationalError, match="full"):  # noqa: PT012
        for step in range(10_000):
            written.append([Row(step, _NOW, ["a"], [float(step)])])
            acknowledged += 1
    assert 0 < acknowledged < 10_000
    written.append([Row(-1, _NOW, ["a"], [0.5])])  # opened anew, without the limit: there is room again
    written.close()
    assert [row.step for row in kept(tmp_path / "1.journal")] == [*range(acknowledged), -1]


def test_a_connection_that_can_not_be_opened_anew_is_tried_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Journal(tmp_path / "1.journal", {})
    written._connection.close()  # as an error of the disk may leave it
    connected = written._connected

    def fails() -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(written, "_connected", fails)
    for error in (sqlite3.ProgrammingError, sqlite3.OperationalError, sqlite3.OperationalError):
        with pytest.raises(error):
            written.append([Row(0, _NOW, ["a"], [1.0])])
    monkeypatch.setattr(written, "_connected", connected)
    written.append([Row(0, _NOW, ["a"], [2.0])])
    written.close()
    assert [row.values for row in kept(tmp_path / "1.journal")] == [(2.0,)]


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "INSERT", "COMMIT"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, sqlite3.OperationalError("disk I/O error")])
def test_whatever_became_of_an_interrupted_transaction_the_next_goes_on_from_what_is_in_the_file(
    statement: str, error: Any, tmp_path: Path
) -> None:
    """A commit that is interrupted, or fails, may have been one."""

    class Interrupted:
        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            call = getattr(self._connection, name)

            def then_raise(text: str, *values: Any) -> Any:
                done = call(text, *values)
                if text.startswith(statement):
                    raise error
                return done

            return then_raise if name.startswith("execute") else call

    written = Journal(tmp_path / "1.journal", {})
    written.append([Row(0, _NOW, ["a"], [1.0])])
    connection = written._connection
    written._connection = Interrupted(connection)  # type: ignore[assignment]
    with pytest.raises((KeyboardInterrupt, sqlite3.OperationalError)):
        written.append([Row(1, _NOW, ["b"], [1.0]), Row(1, _NOW, ["c"], [1.0])])
    if error is KeyboardInterrupt:
        written._connection = connection
    written.append([Row(2, _NOW, ["d"], [2.0]), Row(2, _NOW, ["b"], [2.0])])
    written.close()
    entries, damage = journal.read(tmp_path / "1.journal", 1, 10)
    between = [(1, ["b"]), (1, ["c"])] if statement == "COMMIT" else []
    assert damage is None
    assert [(row.step, row.keys) for row in kept(tmp_path / "1.journal")] == [(0, ["a"]), *between, (2, ["d"]), (2, ["b"])]
    assert [entry.seq for entry in entries] == [*range(1, 5 + len(between))]


def test_a_network_s_file_system_gets_another_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount = namedtuple("mount", "mountpoint fstype")
    mounts = [mount("/", "ext4"), mount(str(tmp_path), "fuse.sshfs"), mount(f"{tmp_path}/x", "ext4")]
    monkeypatch.setattr("psutil.disk_partitions", lambda all: mounts)
    written = Journal(tmp_path / "1.journal", {})
    assert written.network == "sshfs"
    written.append([Row(0, _NOW, ["a"], [1.0])])
    assert {file.name for file in tmp_path.iterdir()} == {"1.journal"}
    written.synchronize()
    written.close()
    assert len(kept(tmp_path / "1.journal")) == 1


def test_a_file_system_that_can_not_be_told_is_taken_for_a_local_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(all: bool) -> None:
        raise OSError

    monkeypatch.setattr("psutil.disk_partitions", fails)
    assert journal.file_system(tmp_path) == ""
    monkeypatch.setattr("psutil.disk_partitions", lambda all: [])
    assert journal.file_system(tmp_path) == ""


def test_the_disk_is_told_to_keep_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("os.fsync", lambda file: told.append(os.readlink(f"/proc/self/fd/{file}")))
    written = Journal(tmp_path / "1.journal", {})
    written.synchronize()
    assert told == [f"{tmp_path}/1.journal-wal"]
    written.append([Row(0, _NOW, ["a"], [1.0])])
    written.close()


class TestWhatIsNoJournal:
    @pytest.mark.parametrize(
        ("content", "why"),
        [(b"text", "is no journal of weft's"), (b"SQLite format 3\0" + b"x" * 200, "can't be read")],
    )
    def test_another_file(self, content: bytes, why: str, tmp_path: Path) -> None:
        path = tmp_path / "1.journal"
        path.write_bytes(content)
        with pytest.raises(JournalError, match=why):
            journal.header(path)
        assert path.read_bytes() == content

    def test_another_database(self, tmp_path: Path) -> None:
        path = tmp_path / "1.journal"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE x (y)")
        connection.close()
        with pytest.raises(JournalError, match="SQLite database, and no journal"):
            journal.header(path)

    def test_a_newer_format(self, tmp_path: Path) -> None:
        path = tmp_path / "1.journal"
        written = Journal(path, {"key": "k"})
        written._connection.execute("PRAGMA user_version = 7")
        written.close()
        before = path.read_bytes()
        with pytest.raises(JournalError, match="by a newer weft, in format 7; this one knows 1: upgrade"):
            journal.header(path)
        assert path.read_bytes() == before

    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(JournalError, match="can't be read .No such file"):
            journal.header(tmp_path / "1.journal")

    def test_one_that_was_begun_and_no_more(self, tmp_path: Path) -> None:
        (tmp_path / "1.journal").touch()
        assert journal.header(tmp_path / "1.journal") is None
        assert journal.read(tmp_path / "1.journal", 1, 10) == ([], None)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed journal of 2,000 rows, one a page or so."""
    path = tmp_path_factory.mktemp("long") / "1.journal"
    written = Journal(path, {"key": "k"})
    keys = [f"key{number}" for number in range(100)]
    written.append([Row(step, _NOW + step, keys, [step + number / 100 for number in range(100)]) for step in range(2000)])
    written.close()
    return path


class TestDamage:
    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_what_is_around_a_broken_page_is_read_and_the_rest_named(self, data: st.DataObject, long: Path) -> None:
        copy = long.with_name("copy.journal")
        shutil.copy(long, copy)
        pages = copy.stat().st_size // 4096
        page = data.draw(st.integers(3, pages - 1))
        with copy.open("r+b") as file:
            file.seek(page * 4096)
            file.write(bytes(data.draw(st.integers(0, 255)) for _ in range(1)) * 4096)
        read, damages, first = [], [], 1
        while True:
            entries, damage = journal.read(copy, first, 500)
            read += entries
            if damage is not None:
                damages.append(damage)
                if damage.next is None:
                    break
                first = damage.next
            elif entries:
                first = entries[-1].seq + 1
            else:
                break
        seqs = [entry.seq for entry in read]
        assert seqs == sorted(set(seqs)), "no entry twice"
        lost = set(range(1, 2002)) - set(seqs)
        named = {seq for damage in damages for seq in range(damage.first, damage.next or 2002)}
        assert lost <= named, "nothing is lost in silence"
        assert len(seqs) > 1000
        for entry in read[1:]:
            assert entry.values[0] == entry.step

    def test_it_is_told_in_words(self) -> None:
        assert str(Damage(5, 9, "malformed")) == "from entry 5 to 8 (malformed)"
        assert str(Damage(5, None, "malformed")) == "from entry 5 on (malformed)"

    def test_rows_go_on_behind_it(self, long: Path) -> None:
        copy = long.with_name("copy.journal")
        shutil.copy(long, copy)
        with copy.open("r+b") as file:
            file.seek(20 * 4096)
            file.write(b"\0" * 4096)
        found = [row.step for row in journal.rows(copy, 0)]
        assert found[-1] == 1999
        assert 1900 < len(found) < 2000


def test_the_journals_of_a_folder_are_listed_by_their_numbers(tmp_path: Path) -> None:
    for name in ("10.journal", "2.journal", "1.journal", "x.journal", "3.journal-wal"):
        (tmp_path / name).touch()
    assert [*journal.attempts(tmp_path)] == [1, 2, 10]
    assert journal.lock_of(tmp_path / "2.journal") == tmp_path / "2.lock"


def test_content_is_json_that_any_language_reads(tmp_path: Path) -> None:
    written = Journal(tmp_path / "1.journal", {})
    written.append([Event("tags", {"größe": "\ud800\0☃"}), Row(0, _NOW, ["\ud800", "a\0b", ""], [1.0, 2.0, 3.0])])
    written.close()
    assert kept(tmp_path / "1.journal")[0].keys == ["\ud800", "a\0b", ""]
    assert json.loads(journal.read(tmp_path / "1.journal", 2, 1)[0][0].content) == {"größe": "\ud800\0☃"}


def test_one_that_can_not_be_made_is_closed(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(TypeError):
        Journal(tmp_path / "1.journal", {"key": object()})
    assert len(os.listdir("/proc/self/fd")) == before
    assert journal.header(tmp_path / "1.journal") is None


def test_its_beginning_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    Journal(tmp_path / "1.journal", {"key": "k"}, [Event("open", {"name": "n"})]).close()
    assert [entry.kind for entry in journal.read(tmp_path / "1.journal", 1, 9)[0]] == ["journal", "open"]


def test_a_writer_that_died_in_a_transaction_is_taken_back_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a write-ahead log the pages in the file are those of the transaction, until somebody takes them back."""
    monkeypatch.setattr(journal, "file_system", lambda path: "nfs")
    path, left = tmp_path / "1.journal", tmp_path / "left" / "1.journal"
    left.parent.mkdir()
    written = Journal(path, {"key": "k"})
    written.append([Row(0, _NOW, ["a"], [1.0])])
    written._connection.execute("PRAGMA cache_size = 1")
    with pytest.raises(UserError), written._transaction() as batch:  # noqa: PT012
        written._add([Row(step, _NOW, [f"key{step}"], [1.0]) for step in range(5000)], batch)
        for name in ("1.journal", "1.journal-journal"):
            shutil.copy(tmp_path / name, left.parent / name)
        raise UserError
    written.close()
    assert (left.parent / "1.journal-journal").stat().st_size > 0
    assert [row.step for row in kept(left)] == [0]
    assert journal.header(left) == journal.header(path)


@pytest.mark.parametrize("reader", [lambda path: journal.read(path, 1, 9), journal.series, journal.header])
def test_a_locked_journal_is_not_taken_for_a_damaged_one(reader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "file_system", lambda path: "nfs")
    monkeypatch.setattr(journal, "_PATIENCE", 0.0)
    path = tmp_path / "1.journal"
    written = Journal(path, {"key": "k"})
    written.append([Row(0, _NOW, ["a"], [1.0])])
    written.close()
    locking = sqlite3.connect(path, isolation_level=None)
    locking.execute("BEGIN EXCLUSIVE")
    with pytest.raises((sqlite3.OperationalError, JournalError), match="database is locked"):
        reader(path)
    locking.close()
    assert reader(path)


class _Failing:
    """A connection whose first selects end in an error of the disk, behind so many rows."""

    def __init__(self, failures: list[int], path: Path):
        self._failures = failures
        self._path = path

    def __call__(self, path: Path) -> Any:
        return contextlib.closing(self)

    def close(self) -> None:
        pass

    def execute(self, statement: str, values: tuple[int, int]) -> Iterator[Any]:
        with contextlib.closing(sqlite3.connect(self._path)) as connection:
            rows = connection.execute(statement, values).fetchall()
        if not self._failures:
            return iter(rows)
        return self._failed(rows[: self._failures.pop()])

    def _failed(self, rows: list[Any]) -> Iterator[Any]:
        yield from rows
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error


@pytest.mark.parametrize(("failures", "damaged"), [(1, False), (2, False), (3, True)])
def test_an_error_of_the_disk_that_passes_damages_nothing(
    failures: int, damaged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "1.journal"
    written = Journal(path, {"key": "k"})
    written.append([Row(step, _NOW, ["a"], [1.0]) for step in range(8)])
    written.close()
    monkeypatch.setattr(journal, "_reading", _Failing([4] * failures, path))
    monkeypatch.setattr(journal, "_next_readable", lambda connection, start: start + 1)
    entries, damage = journal.read(path, 1, 100)
    assert damage == (journal.Damage(5, 6, "disk I/O error") if damaged else None)
    assert len(entries) == (4 if damaged else 9)


class TestWhatSQLiteDoesNotNotice:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        written = Journal(tmp_path / "1.journal", {"key": "k"}, [Event("open", {"name": "n"})])
        written.append([Row(step, _NOW, ["a"] if step % 2 else ["b"], [float(step)]) for step in range(8)])
        written.close()
        return tmp_path / "1.journal"

    def changed(self, path: Path, statement: str) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute(statement)
        connection.close()

    @pytest.mark.parametrize(
        "change",
        [
            *("content = zeroblob(8)", "content = zeroblob(7)", "content = 'text'", "content = NULL"),
            *("step = step + 1", "step = NULL", "at = at - 1", "at = 0.5", "series = 3 - series", "series = 'x'"),
            *("checksum = 5", "checksum = NULL", "kind = 'rot'", "kind = CAST(x'ff' AS TEXT)"),
        ],
    )
    def test_a_row_that_is_not_what_was_written_is_damage(self, change: str, path: Path) -> None:
        self.changed(path, f"UPDATE entries SET {change} WHERE seq = 5")
        entries, damage = journal.read(path, 1, 99)
        assert [entry.seq for entry in entries] == [1, 2, 3, 4]
        assert damage is not None
        assert (damage.first, damage.next) == (5, 6)
        assert [row.step for row in journal.rows(path, 0)] == [0, 1, 3, 4, 5, 6, 7]

    def test_so_is_one_that_is_not_there(self, path: Path) -> None:
        self.changed(path, "DELETE FROM entries WHERE seq IN (5, 6)")
        _, damage = journal.read(path, 1, 99)
        assert damage == Damage(5, 7, "entry 5 is not what was written")

    def test_and_an_event_with_other_words(self, path: Path) -> None:
        self.changed(path, "UPDATE entries SET content = replace(content, 'n', 'm') WHERE seq = 2")
        assert journal.read(path, 2, 1)[1] == Damage(2, 3, "entry 2 is not what was written")

    def test_a_series_with_other_keys_has_none(self, path: Path) -> None:
        self.changed(path, "UPDATE series SET keys = replace(keys, 'a', 'c')")
        assert [*journal.series(path).values()] == [["b"]]
        assert [row.keys for row in journal.rows(path, 0)] == [["b"]] * 4

    def test_a_header_with_other_words_is_damage(self, path: Path) -> None:
        self.changed(path, "UPDATE entries SET content = replace(content, 'k', 'm') WHERE seq = 1")
        with pytest.raises(JournalError, match="its beginning is damaged"):
            journal.header(path)

    def test_an_empty_file_of_which_something_was_acknowledged_has_lost_it(self, path: Path) -> None:
        held = Lease(journal.lock_of(path))
        path.write_bytes(b"")
        assert journal.header(path) is None
        held.note(10)
        held.release()
        with pytest.raises(JournalError, match="its beginning is lost"):
            journal.header(path)


def test_a_copy_knows_its_original_as_long_as_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    Journal(tmp_path / "run" / "1.journal", {"key": "k", "folder": str(tmp_path / "run")}).close()
    assert journal.original(tmp_path / "run") is None
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    (tmp_path / "copy" / "0.journal").write_text("none")
    assert journal.original(tmp_path / "copy") == tmp_path / "run"
    (tmp_path / "run").rename(tmp_path / "moved")
    assert journal.original(tmp_path / "copy") is None
    assert journal.original(tmp_path / "moved") is None


def test_a_file_that_a_journal_names_is_where_its_folder_is_now(tmp_path: Path) -> None:
    path = tmp_path / "1.journal"
    assert journal.moved(path, {"folder": "/was/here"}, "/was/here/a/b") == f"{tmp_path}/a/b"
    assert journal.moved(path, {"folder": "/was/here"}, "/was/there/b") == "/was/there/b"
    assert journal.moved(path, {}, "/was/here/b") == "/was/here/b"
