"""One store of MLflow, as it is asked: what its answers mean.

What goes wrong is one of three things: the store can't be reached (`OutOfReach`: try again), it doesn't let us in (`Forbidden`:
wait for somebody), or the run isn't there any more (`Gone`). Everything else is taken for a refusal of what it was asked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from weft.errors import TrackingError
from weft.telemetry.store import (
    DIALECTS,
    Point,
    absolute_uri,
    check_database,
    database_file,
    fast_uri,
    in_one_line,
    opened,
    shown,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

_METRICS = 1000  # in one request, by MLflow's validation
_POINTS = 5_000  # in one transaction
_AGAIN = (408, 429, 500, 502, 503, 504)
_CODES_AGAIN = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED")
_NUMBERS_AGAIN = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
_NAMES_AGAIN = {"ConnectionError", "TimeoutError", "Timeout", "HTTPClientError"}  # Python's, of requests, of botocore
_CODES_FORBIDDEN = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")

_STANDSTILL = re.compile(r"\(psycopg2?\.errors\.(ReadOnlySqlTransaction|Undefined(Column|Table|Object))\)")
"""A database that takes nothing for now, or whose tables are being changed: also as a server tells of it."""
_DENIED = ".errors.InsufficientPrivilege)"

_T = TypeVar("_T")


class OutOfReach(TrackingError):
    """The store does not answer, or not now."""


class Forbidden(TrackingError):
    """The store wants other credentials."""


class Gone(TrackingError):
    """The run or its experiment is deleted, or was never there."""


class Store:
    """One store, opened when it is first asked."""

    def __init__(self, uri: str):
        self.uri = absolute_uri(uri)
        self.is_server = uri.startswith("http")
        self._experiments: dict[str, str] = {}

    @cached_property
    def client(self) -> MlflowClient:
        """Raises:
        OutOfReach: it doesn't answer, or not as MLflow does.
        Forbidden: it wants other credentials.
        """
        try:
            with once():  # who waits for an answer is told at once; who ships asks again by itself
                check_database(self.uri)
                client = opened(fast_uri(self.uri))
                client.search_experiments(max_results=1)
        except Exception as error:
            if isinstance(self._translated(error), Forbidden):
                raise self._translated(error) from None
            raise OutOfReach(f"{shown(self.uri)}: can't be reached, or is no MLflow store: {in_one_line(error)}") from None
        return client

    @property
    def most(self) -> int:
        """How many points are written at once."""
        return _POINTS if self.uri.startswith(DIALECTS) else _METRICS

    @cached_property
    def write(self) -> Callable[[str, Sequence[Point]], None]:
        """What writes points of a run."""
        client = self.client
        from mlflow.entities import Metric

        from weft.telemetry.fast_store import FastStore

        if self.uri.startswith(DIALECTS):
            return FastStore(self.uri, "mlruns").log_points

        def request(run_id: str, points: Sequence[Point]) -> None:
            metrics = [Metric(key, value, at, step) for key, value, step, at in points]
            client.log_batch(run_id, metrics=metrics, synchronous=True)

        return request

    @cached_property
    def writers(self) -> ThreadPoolExecutor:
        """Threads that write. A server has another request made up while it works on one; a file takes one at a time."""
        return ThreadPoolExecutor(1 if self.uri.startswith("sqlite") else 2, thread_name_prefix="weft writer")

    def ask(self, call: Callable[[], _T]) -> _T:
        """Call something that asks the store.

        Raises:
            OutOfReach: it doesn't answer.
            Forbidden: it wants other credentials.
            Exception: a refusal, as the store put it.
        """
        try:
            return call()
        except Exception as error:
            raise self._translated(error) from error

    def experiment(self, name: str, artifact_root: str | None) -> str:
        """Return the id of an experiment; make it where there is none.

        Raises:
            Gone: it has been deleted.
        """
        if name not in self._experiments:
            found = self.ask(lambda: self.client.get_experiment_by_name(name)) or self._make(name, artifact_root)
            if found.lifecycle_stage != "active":
                raise Gone(
                    f"experiment {name!r} in {shown(self.uri)} is deleted: restore it "
                    f"(mlflow experiments restore --experiment-id {found.experiment_id}), or choose another name"
                )
            self._experiments[name] = found.experiment_id
        return self._experiments[name]

    def run_of(self, key: str, run_id: str | None) -> Any:
        """Return the run with this id, or with this key, or None.

        Raises:
            OutOfReach: that can't be told at present.
        """
        from mlflow.entities import ViewType
        from mlflow.exceptions import MlflowException

        if run_id is not None:
            try:
                return self.ask(lambda: self.client.get_run(run_id))
            except MlflowException:
                return None
        experiments = self.ask(lambda: self.client.search_experiments(view_type=ViewType.ALL))
        found = self.runs(key, [item.experiment_id for item in experiments])
        return next((run for run in found if run.info.lifecycle_stage == "active"), None)

    def runs(self, key: str, experiments: list[str]) -> Sequence[Any]:
        """Return the runs with this key, deleted ones too; in an order that stays."""
        from mlflow.entities import ViewType

        query = f"tags.`weft.key` = '{key}'"
        search = partial(self.client.search_runs, run_view_type=ViewType.ALL, order_by=["attributes.run_id"])
        return self.ask(lambda: search(experiments, query))

    def stored_points(self, run_id: str, keys: Sequence[str]) -> Iterator[Point]:
        """Yield the points of a run: of these keys, and from a database of all keys."""
        from weft.telemetry.fast_store import FastStore

        if self.uri.startswith(DIALECTS):
            yield from FastStore(self.uri, "mlruns").points(run_id)
            return
        for key in keys:
            for metric in self.ask(partial(self.client.get_metric_history, run_id, key)):
                yield key, metric.value, metric.step, metric.timestamp

    def artifact_size(self, run_id: str, path: str) -> int | None:
        """Return the bytes of an artifact, None where there is none."""
        folder = os.path.dirname(path)
        for item in self.ask(lambda: self.client.list_artifacts(run_id, folder or None)):
            if item.path == path:
                return item.file_size
        return None

    def _make(self, name: str, artifact_root: str | None) -> Any:
        from mlflow.exceptions import MlflowException

        location = None
        database = database_file(self.uri)
        if artifact_root is None and database is not None:
            artifact_root = str(database.parent / "artifacts")  # MLflow's own default is wherever a process happens to run
        if artifact_root is not None and not self.is_server:
            folder = re.sub(r"[^\w.\-]", "_", name)
            location = (Path(artifact_root) / (folder if folder.strip(".") else f"_{folder}")).as_uri()
        try:
            self.ask(lambda: self.client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was first
                raise
        return self.ask(lambda: self.client.get_experiment_by_name(name))

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, TrackingError):
            return error
        code = getattr(error, "error_code", "")
        status = error.get_http_status_code() if hasattr(error, "get_http_status_code") else 0
        told = f"{shown(self.uri)}: {in_one_line(error)}"
        if code in _CODES_FORBIDDEN or _DENIED in told or (self.is_server and status in (401, 403)):
            return Forbidden(told)
        if code in _CODES_AGAIN or _STANDSTILL.search(told) or (self.is_server and status in _AGAIN) or _is_passing(error):
            return OutOfReach(told)
        return error


def _is_passing(error: Exception) -> bool:
    """Whether an error of a file or a connection may be over the next time. Of a folder shutil gives the errors as text; the
    libraries that reach stores of files have errors of connections that share no more than their names."""
    numbers = {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))} if isinstance(error, OSError) else set()
    names = {base.__name__ for base in type(error).__mro__}
    return bool(numbers & _NUMBERS_AGAIN) or bool(names & _NAMES_AGAIN)


@contextlib.contextmanager
def once() -> Iterator[None]:
    """Have MLflow's client not repeat a request by itself."""
    name = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
