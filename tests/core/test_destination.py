"""Where a run may be recorded, and that nothing is left behind by asking."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weft import ConfigError
from weft.destination import check_artifacts, check_place, check_uri
from weft.telemetry.store import check_run, page


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    check_place("runs", tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_can_not_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"runs: .*: .*file is no folder"):
        check_place("runs", tmp_path / "file" / "deeper")
    with pytest.raises(ConfigError, match=r"runs: /proc/no/such: nothing can be written in /proc "):
        check_place("runs", Path("/proc/no/such"))


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///runs/mlflow.db",
        "sqlite:////tmp/mlflow.db",
        "postgresql://host/db",
        "postgresql+psycopg2://u:p@host/db",
        "weft+postgresql+psycopg://u:p@host:5432/db",
        "postgresql+psycopg://weft@/postgres?host=/run/postgresql",
        "http://localhost:5000",
        "http://[::1]:5000",
        "https://host.example/mlflow",
    ],
)
def test_stores_that_can_be(uri: str) -> None:
    check_uri(uri)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("runs/mlruns", "maintenance mode; use sqlite:///runs/mlruns/mlflow.db"),
        ("file:///tmp/mlruns", "maintenance mode; use sqlite:////tmp/mlruns/mlflow.db"),
        ("", "maintenance mode"),
        ("ftp://ann:hush@host", r"'ftp://\[redacted\]@host' is no store"),
        ("localhost:5000", "^tracking.uri: 'localhost:5000' has no scheme: http://localhost:5000"),
        (
            "mysql+pymysql://ann:hush@host/db",
            r"mysql\+pymysql://\[redacted\]@host/db: what speaks .* \(No module named 'pymysql'\)$",
        ),
        ("postgresql+asyncpg://host/db", r"isn't installed .*; for PostgreSQL: pip install 'weft\[postgresql\]', and"),
        ("postgresql+foo://host/db", "postgresql.foo://host/db: is no address of a database"),
        ("postgresql+psycopg://host:abc/db", "its port is no number from 1 to 65535"),
        ("postgresql+psycopg://host:99999/db", "its port is no number from 1 to 65535"),
        ("http://host:99999", "'http://host:99999' is no address of a server; it could be http://localhost:5000"),
        ("http://host:0", "is no address of a server"),
        ("http://:5000", "is no address of a server"),
        ("https://[::1", "is no address of a server"),
        ("sqlite://", "no store"),
        ("sqlite+aiosqlite:///x.db", "no store"),
        ("sqlite:///file:x.db?uri=true", "is an address within an address"),
        (f"sqlite:///{'a' * 300}.db", "tracking.uri: .*File name too long"),
        ("sqlite:///:memory:", "keeps nothing"),
    ],
)
def test_stores_that_can_not_be(uri: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        check_uri(uri)


def test_a_mistake_names_what_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="^--uri: 'foo' is a folder"):
        check_uri("foo", "--uri")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "foo")
    with pytest.raises(ConfigError, match="^MLFLOW_TRACKING_URI: 'foo' is a folder"):
        check_uri("foo", "--uri")


def test_where_a_server_keeps_files(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (f"{tmp_path}/new", (tmp_path / "new").as_uri(), "s3://bucket/weft", "gs://bucket"):
        check_artifacts(place)
    for place in (f"{tmp_path}/file", (tmp_path / "file" / "deeper").as_uri()):
        with pytest.raises(ConfigError, match="^artifacts: .*file is no folder"):
            check_artifacts(place)
    for place in ("s3:/bucket", "s3:bucket", "file:s3:/bucket"):
        with pytest.raises(ConfigError, match=f"'{place}' is neither a folder nor an address such as s3://bucket/weft"):
            check_artifacts(place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_database_where_none_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file is no folder"):
        check_uri(f"sqlite:///{tmp_path}/file/deeper/mlflow.db")
    with pytest.raises(ConfigError, match="is a folder; give a file"):
        check_uri(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("hello")
    (tmp_path / "empty.db").touch()
    check_uri(f"sqlite:///{tmp_path}/empty.db")
    for read in (check_uri, lambda uri: page(uri, "weft"), lambda uri: check_run("x", uri)):
        with pytest.raises(ConfigError, match="notes.db is no SQLite database"):
            read(f"sqlite:///{tmp_path}/notes.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.db", "notes.db"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_database_in_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="nothing can be written"):
        check_uri(f"sqlite:///{closed}/new/mlflow.db")
