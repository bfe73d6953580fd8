"""Where a run is to be recorded: checked before anything is built, and nothing is left behind by checking."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from weft.errors import ConfigError
from weft.folder import Folder
from weft.settings import Settings
from weft.telemetry import store
from weft.telemetry.redaction import redact

_KNOWN = re.compile(r"(weft\+)?(sqlite|postgresql)(\+\w+)?://.+|(mysql|mssql)(\+\w+)?://.+|https?://.+")
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
    path = path.absolute()
    nearest = next(folder for folder in (path, *path.parents) if os.path.exists(folder))
    if not nearest.is_dir():
        raise ConfigError(f"{key}: {path}: {nearest} is no folder")
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise ConfigError(f"{key}: {path}: nothing can be written in {nearest} ({error.strerror})") from None


def check_uri(uri: str) -> None:
    """Check a store's URI without opening it.

    Raises:
        ConfigError: MLflow has no such store, or a database can't be where the URI says.
    """
    if not _KNOWN.fullmatch(uri):
        shown = redact("uri", uri)
        if uri.startswith("file:") or "://" not in uri:
            folder = uri.removeprefix("file:").removeprefix("//")
            raise ConfigError(
                f"tracking.uri: {shown!r} is a folder, and MLflow's file store is in maintenance mode; "
                f"use sqlite:///{folder}/mlflow.db, or another of {_FORMS}"
            )
        raise ConfigError(f"tracking.uri: {shown!r} is no store that MLflow has; it could be {_FORMS}")
    if uri.startswith(("sqlite", "weft+sqlite")):
        _check_database(uri)


def _check_database(uri: str) -> None:
    file = store.database_file(uri)
    if file is None or file.name == ":memory:":
        raise ConfigError(f"tracking.uri: {uri!r} keeps nothing; give a file: sqlite:///runs/mlflow.db")
    if file.is_dir():
        raise ConfigError(f"tracking.uri: {file} is a folder; give a file: sqlite:///{file}/mlflow.db")
    if file.exists() and not os.access(file, os.W_OK):
        raise ConfigError(f"tracking.uri: {file} can't be written by this user")
    if file.exists():
        store.check_file(file)
    check_place("tracking.uri", file.parent)
