"""The store of a server: what one's own program may ask of a database, and a client of a server may not."""

from __future__ import annotations

from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from weft.telemetry.fast_store import FastStore


class ServedStore(FastStore):
    """FastStore, but for the place of an experiment's files: a client that names one has the server's user write there and read
    there, `file:///etc` included."""

    def create_experiment(self, name: str, artifact_location: str | None = None, tags: Any = None) -> Any:
        """Make an experiment whose files the server keeps.

        Raises:
            MlflowException: a client names another place.
        """
        if artifact_location:
            raise MlflowException(
                f"artifact_location {artifact_location!r}: this server keeps the files of experiments itself; leave it out",
                INVALID_PARAMETER_VALUE,
            )
        return super().create_experiment(name, None, tags)
