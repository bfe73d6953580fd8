"""Schemes of weft's own for MLflow: `weft+sqlite:///…` and `weft+postgresql://…` are the databases that MLflow means without
`weft+`, written to by weft's store.

MLflow finds these functions as its plugins (pyproject.toml) and loads them whenever it is imported: so what they need is
imported when they are called.
"""

from __future__ import annotations

import os
from typing import Any

from weft.telemetry.store import SERVED, absolute_uri, database_file, locked


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> Any:
    """Open a database to record in. New experiments keep their artifacts under `artifact_uri`, by default in `artifacts` beside
    an SQLite file, else where MLflow would."""
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH

    from weft.telemetry.fast_store import FastStore
    from weft.telemetry.served_store import ServedStore

    store = ServedStore if SERVED in os.environ else FastStore
    database = database_file(store_uri)
    beside = DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH if database is None else (database.parent / "artifacts").as_uri()
    with locked(store_uri):
        return store(absolute_uri(store_uri), artifact_uri or beside)


def registry_store(store_uri: str) -> Any:
    """Open the same database for registered models: MLflow looks for them where it records."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    with locked(store_uri):
        return SqlAlchemyStore(absolute_uri(store_uri))
