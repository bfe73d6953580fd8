"""Where a run is to be recorded: checked before anything is built, and nothing is left behind by checking; then who takes it
there."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from weft.errors import ConfigError
from weft.folder import Folder
from weft.settings import Settings
from weft.telemetry import store
from weft.telemetry.recording import JournalTracker
from weft.telemetry.redaction import redact
from weft.telemetry.tracker import Tracker

_KNOWN = re.compile(r"(weft\+)?(sqlite(\+pysqlite)?|postgresql(\+\w+)?)://.+|(mysql|mssql)(\+\w+)?://.+|https?://.+")
_FORMS = "sqlite:///path/to/file.db, postgresql://…, mysql://…, mssql://… or http(s)://…"


def check(settings: Settings, folder: Folder) -> None:
    """Check that a new run can be recorded in its folder and in its store.

    Raises:
        ConfigError: the folder holds a run; it, or the output folder, can't be written; see `check_uri`; there is no MLflow
            run to go on in.
    """
    if settings.sweep.name:
        raise ConfigError("sweep.name: belongs to a sweep (weft run -m); give a run a name or tags")
    check_place("runs", Path(settings.runs))
    check_place("hydra.run.dir", folder.path)
    if folder.record():
        raise ConfigError(f"hydra.run.dir: {folder.path} holds a run already")
    check_uri(settings.store)
    if settings.tracking.run_id:
        store.check_run(settings.tracking.run_id, settings.store)


def check_place(key: str, path: Path) -> None:
    """Check that files can be made in a folder, which need not be there yet.

    Raises:
        ConfigError: they can't.
    """
    try:
        _check_writable(path.absolute())
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None


def check_uri(uri: str, key: str = "tracking.uri") -> None:
    """Check a store's URI without opening it.

    Args:
        key: what it was given as, unless it is what `MLFLOW_TRACKING_URI` says.

    Raises:
        ConfigError: MLflow has no such store, it is no address, what speaks with the database isn't installed, or a database
            can't be where the URI says.
    """
    if uri == os.environ.get("MLFLOW_TRACKING_URI"):
        key = "MLFLOW_TRACKING_URI"
    try:
        if not _KNOWN.fullmatch(uri):
            raise ConfigError(_unknown(uri))
        if uri.startswith(("sqlite", "weft+sqlite")):
            _check_database(uri)
        elif uri.startswith("http"):
            _check_server(uri)
        else:
            store.check_driver(uri)
    except (ConfigError, OSError, ValueError) as error:  # of a path that is too long, or holds a zero
        raise ConfigError(f"{key}: {error}") from None


def check_artifacts(place: str) -> None:
    """Check where a server is to keep files: a folder, or a store of files, whose address is not opened.

    Raises:
        ConfigError: it can't be made or written, or is neither.
    """
    scheme, is_address, _ = place.partition("://")
    if scheme == "file" or not is_address:
        if re.match(r"[a-z][a-z0-9+]+:", place.removeprefix("file:")):
            raise ConfigError(f"artifacts: {place!r} is neither a folder nor an address such as s3://bucket/weft")
        check_place("artifacts", Path(place.removeprefix("file://").removeprefix("file:")))


def _unknown(uri: str) -> str:
    shown = redact("uri", uri)
    if re.match(r"[\w.\-]+:\d+(/|$)", uri):
        return f"{shown!r} has no scheme: http://{shown}?"
    if uri.startswith("file:") or "://" not in uri:
        folder = uri.removeprefix("file:").removeprefix("//")
        advice = f"use sqlite:///{folder}/mlflow.db, or another of {_FORMS}"
        return f"{shown!r} is a folder, and MLflow's file store is in maintenance mode; {advice}"
    return f"{shown!r} is no store that MLflow has; it could be {_FORMS}"


def _check_server(uri: str) -> None:
    try:
        parts = urlsplit(uri)
        if parts.hostname and parts.port != 0:
            return
    except ValueError:  # of a port or an address of IPv6
        pass
    raise ConfigError(f"{redact('uri', uri)!r} is no address of a server; it could be http://localhost:5000")


def _check_database(uri: str) -> None:
    file = store.database_file(uri)
    if "///file:" in uri:
        raise ConfigError(f"{uri!r} is an address within an address; give a file: sqlite:///runs/mlflow.db")
    if file is None or file.name == ":memory:":
        raise ConfigError(f"{uri!r} keeps nothing; give a file: sqlite:///runs/mlflow.db")
    if file.is_dir():
        raise ConfigError(f"{file} is a folder; give a file: sqlite:///{file}/mlflow.db")
    if file.exists() and not os.access(file, os.W_OK):
        raise ConfigError(f"{file} can't be written by this user")
    if file.exists():
        store.check_file(file)
    _check_writable(file.parent)


def _check_writable(path: Path) -> None:
    nearest = next(folder for folder in (path, *path.parents) if os.path.exists(folder))
    if not nearest.is_dir():
        raise ConfigError(f"{path}: {nearest} is no folder")
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise ConfigError(f"{path}: nothing can be written in {nearest} ({error.strerror})") from None


def tracker(settings: Settings, folder: Folder, wait: float | None = None) -> Tracker:
    """Return the tracker that a run in this folder reports to. Its end waits for the store as long as the settings say, unless
    `wait` does."""
    artifacts = Path(settings.runs).absolute() / "artifacts"
    wait = settings.telemetry.wait if wait is None else wait
    return JournalTracker(folder.path, settings.store, artifacts, settings.telemetry.strict, wait)
