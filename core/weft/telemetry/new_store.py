"""A new SQLite store. MLflow makes its tables in some fifty migrations, which take 2.4 s: that is done once for each of its
versions, and what comes of it is kept without a row, to be copied."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

from weft import cache


def make(database: Path) -> None:
    """Make a store beside its place, and put it there whole: SQLite takes none of the migrations back, so that what a process
    leaves that is killed meanwhile, no later one could open."""
    from mlflow import __version__

    kept = cache.folder("stores") / f"mlflow-{__version__}.db"
    beside = database.with_name(f".{database.name}.new")
    if not _copied(kept, beside):
        beside.unlink(missing_ok=True)
        _migrate(beside)
        cache.keep(kept, beside.read_bytes())
    beside.replace(database)


def _copied(kept: Path, to: Path) -> bool:
    """Copy the kept store; return whether there is one, and it is whole."""
    try:
        shutil.copyfile(kept, to)
        with contextlib.closing(sqlite3.connect(to)) as copy:
            is_sound = copy.execute("PRAGMA quick_check").fetchone() == ("ok",)
            return is_sound and copy.execute("SELECT * FROM alembic_version").fetchone() is not None
    except (OSError, sqlite3.Error):
        return False


def _migrate(database: Path) -> None:
    import sqlalchemy
    from mlflow.store.db import utils

    engine = sqlalchemy.create_engine(f"sqlite:///{database}")
    utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
    engine.dispose()
