"""Puts what a journal holds into one store of MLflow. Each verb may be repeated: the second time adds nothing.

What goes wrong is one of three things: the store can't be reached (`OutOfReach`: try again), it doesn't let us in (`Forbidden`:
wait for somebody), or the run isn't there any more (`Gone`). Everything else is a refusal of one item, and is noted.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from weft.errors import TrackingError
from weft.telemetry import model_entry
from weft.telemetry.names import Names, mended
from weft.telemetry.store import DIALECTS, absolute_uri, database_file, in_one_line, opened, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient

_METRICS = 1000  # in one request; so are the next four, by MLflow's validation
_POINTS = 5_000  # in one transaction
_PARAMS = 100
_NAME_LENGTH = 250
_PARAM_LENGTH = 6000
_TAG_LENGTH = 8000
_DIGEST_LENGTH = 36
_MARKER = "…"
_LISTED = 20
_ALL = 3  # mlflow.entities.ViewType.ALL
_AGAIN = (408, 429, 500, 502, 503, 504)
_CODES_AGAIN = ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED")
_CODES_FORBIDDEN = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")

_T = TypeVar("_T")
Point = tuple[str, float, int, int]
"""Key, value, step, and time in milliseconds since 1970."""
Refuse = Callable[[str, str], object]
"""Takes what was refused, and the reason."""


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
            with _once():  # who waits for an answer is told at once; who ships asks again by itself
                client = opened(self.uri)
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
            return FastStore(self.uri, "mlruns").log_points  # type: ignore[no-untyped-call]

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
        from mlflow.exceptions import MlflowException

        if run_id is not None:
            try:
                return self.ask(lambda: self.client.get_run(run_id))
            except MlflowException:
                return None
        experiments = self.ask(lambda: self.client.search_experiments(view_type=_ALL))
        found = self.ask(
            lambda: self.client.search_runs([item.experiment_id for item in experiments], f"tags.`weft.key` = '{key}'")
        )
        return found[0] if found else None

    def stored_points(self, run_id: str, keys: Sequence[str]) -> Iterator[Point]:
        """Yield the points of a run: of these keys, and from a database of all keys."""
        from weft.telemetry.fast_store import FastStore

        if self.uri.startswith(DIALECTS):
            yield from FastStore(self.uri, "mlruns").points(run_id)  # type: ignore[no-untyped-call]
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
        if code in _CODES_FORBIDDEN or (self.is_server and status in (401, 403)):
            return Forbidden(told)
        if code in _CODES_AGAIN or (self.is_server and status in _AGAIN) or isinstance(error, (ConnectionError, TimeoutError)):
            return OutOfReach(told)
        return error


class Delivery:
    """One run in a store.

    Args:
        refuse: told what the store refused for good, and why.
    """

    def __init__(self, store: Store, run_id: str, refuse: Refuse):
        self.run_id = run_id
        self._store = store
        self._client = store.client
        self._refuse = refuse
        self._refused: dict[str, None] = {}
        self._non_finite: dict[str, None] = {}

    def points(self, points: Sequence[Point]) -> None:
        """Write points. MLflow refuses a whole request for one bad point: halve, until that one is alone."""
        chunks = list(_chunks(points, self._store.most))
        under_way = [self._store.writers.submit(self._store.write, self.run_id, chunk) for chunk in chunks]
        wait(under_way)
        for chunk, written in zip(chunks, under_way, strict=True):
            self._settle(chunk, written.result)
            self._note_non_finite(chunk)

    def params(self, params: Mapping[str, str], known: Mapping[str, str]) -> None:
        """Record params. One that is too long is cut, and kept whole as an artifact; one that is another than before stays, and
        a tag tells."""
        from mlflow.entities import Param

        given, cut = _given_params(params), cut_params(params)
        self.tags({f"weft.changed.{key}": given[key] for key, value in cut.items() if known.get(key, value) != value})
        for chunk in _chunks([Param(key, value) for key, value in cut.items() if key not in known], _PARAMS):
            self._batch("param", chunk, lambda chunk: self._client.log_batch(self.run_id, params=chunk, synchronous=True))
        for key, value in given.items():
            if len(value) > _PARAM_LENGTH:
                file = f"params/{re.sub(r'[^0-9A-Za-z_.-]', '_', key)}.txt"
                self._try(f"param {key}, whole", partial(self._client.log_text, self.run_id, value, file))

    def tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        entities = [RunTag(mended(key), _shortened(_text(value), _TAG_LENGTH)) for key, value in tags.items()]
        for chunk in _chunks(entities, _PARAMS):
            self._batch("tag", chunk, lambda chunk: self._client.log_batch(self.run_id, tags=chunk, synchronous=True))

    def dataset(self, name: str, digest: str, source: str, profile: Mapping[str, object]) -> None:
        """Record what data the run was given."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name, digest[:_DIGEST_LENGTH], "local", json.dumps({"uri": source}), profile=json.dumps(profile))
        given = DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
        self._try("dataset", lambda: self._client.log_inputs(self.run_id, [given]))

    def artifact(self, path: str, folder: str) -> None:
        """Keep a file, or all files of a folder."""
        keep = self._client.log_artifacts if os.path.isdir(path) else self._client.log_artifact
        self._try(f"artifact {path}", lambda: keep(self.run_id, path, folder or None))

    def model(self, path: str, registered: str | None) -> None:
        """Keep a model as an entry of the store, which is asked for it before each attempt to make it."""
        with _once():
            self._try("the model", lambda: model_entry.record(self._client, self.run_id, Path(path), registered))

    def end(self, status: str, at: int) -> None:
        """Set the status."""
        self._try("status", lambda: self._client.set_terminated(self.run_id, status, at))

    def _settle(self, points: Sequence[Point], write: Callable[[], object]) -> None:
        try:
            self._store.ask(write)
        except TrackingError:
            raise
        except Exception as error:
            self._check_there()
            if len(points) > 1:
                middle = len(points) // 2
                for half in (points[:middle], points[middle:]):
                    self._settle(half, partial(self._store.write, self.run_id, half))
                return
            key, value, step, _ = points[0]
            self._note(f"{key} = {value} at step {step}", error)

    def _batch(self, what: str, items: Sequence[Any], write: Callable[[Sequence[Any]], object]) -> None:
        try:
            self._store.ask(lambda: write(items))
        except TrackingError:
            raise
        except Exception as error:
            self._check_there()
            if len(items) > 1:
                middle = len(items) // 2
                self._batch(what, items[:middle], write)
                self._batch(what, items[middle:], write)
                return
            self._note(f"{what} {items[0].key}", error)

    def _try(self, what: str, call: Callable[[], object]) -> None:
        try:
            self._store.ask(call)
        except TrackingError:
            raise
        except Exception as error:
            self._check_there()
            self._note(what, error)

    def _note(self, what: str, error: Exception) -> None:
        self._refuse(what, in_one_line(error))
        if len(self._refused) < _LISTED and what != "tag weft.refused":
            self._refused[what] = None
            self.tags({"weft.refused": "; ".join(self._refused)})

    def _note_non_finite(self, points: Sequence[Point]) -> None:
        known = len(self._non_finite)
        self._non_finite |= {key: None for key, value, _, _ in points if not math.isfinite(value)}
        if known < len(self._non_finite) and known <= _LISTED:
            keys = list(self._non_finite)
            self.tags({"weft.non_finite": ", ".join(keys[:_LISTED]) + (f", {_MARKER}" if keys[_LISTED:] else "")})

    def _check_there(self) -> None:
        """Raises:
        Gone: the run has been deleted: then nothing of it will pass.
        """
        from mlflow.exceptions import MlflowException

        try:
            run = self._store.ask(lambda: self._client.get_run(self.run_id))
        except MlflowException as error:
            raise Gone(f"{shown(self._store.uri)}: has no run {self.run_id} any more ({in_one_line(error)})") from None
        _check_active(self._store, run)


def begin(store: Store, opening: Mapping[str, Any], refuse: Refuse) -> Delivery:
    """Open the run that an opening describes: the one whose tag `weft.key` it bears, or the one it names, or a new one.

    Raises:
        OutOfReach: whether there is one can't be told at present.
        Gone: it is deleted.
    """
    run_id = _known(store, opening)
    delivery = Delivery(store, run_id or _create(store, opening), refuse)
    run = store.ask(lambda: store.client.get_run(delivery.run_id))
    _check_active(store, run)
    if run.info.status != "RUNNING":
        store.ask(lambda: store.client.update_run(delivery.run_id, status="RUNNING"))
    delivery.tags({**opening["tags"], "weft.key": opening["key"]})
    delivery.params(opening["params"], run.data.params)
    if opening["dataset"] is not None:
        delivery.dataset(**opening["dataset"])
    return delivery


def _check_active(store: Store, run: Any) -> None:
    run_id = run.info.run_id
    if run.info.lifecycle_stage != "active":
        raise Gone(f"run {run_id} in {shown(store.uri)} is deleted: restore it (mlflow runs restore --run-id {run_id})")


def _known(store: Store, opening: Mapping[str, Any]) -> str | None:
    """Return the run that is meant, where the store has one."""
    from mlflow.exceptions import MlflowException

    if opening["run_id"] is not None:
        try:
            store.ask(lambda: store.client.get_run(opening["run_id"]))
            return str(opening["run_id"])
        except MlflowException:
            pass  # of another store: this one gets a run of its own
    experiment = store.experiment(opening["experiment"], opening["artifact_root"])
    query = f"tags.`weft.key` = '{opening['key']}'"
    found = store.ask(lambda: store.client.search_runs([experiment], query, run_view_type=_ALL, order_by=["attributes.run_id"]))
    active = [run for run in found if run.info.lifecycle_stage == "active"]
    for late in active[1:]:  # made by a request that was given up as lost, and arrived after all
        store.ask(partial(store.client.delete_run, late.info.run_id))
    return str((active or found)[0].info.run_id) if found else None


def _create(store: Store, opening: Mapping[str, Any]) -> str:
    """Make the run. Whether a request that got no answer did so is asked the next time round."""
    experiment = store.experiment(opening["experiment"], opening["artifact_root"])
    tags = {"weft.key": opening["key"], "mlflow.runName": _shortened(_text(opening["name"]), _NAME_LENGTH) or opening["key"]}
    with _once():
        return str(store.ask(lambda: store.client.create_run(experiment, opening["time"], tags)).info.run_id)


@contextlib.contextmanager
def _once() -> Iterator[None]:
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


def cut_params(params: Mapping[str, str]) -> dict[str, str]:
    """Return params as the store keeps them."""
    return {key: _shortened(value, _PARAM_LENGTH) for key, value in _given_params(params).items()}


def _given_params(params: Mapping[str, str]) -> dict[str, str]:
    names = Names()
    return {names[key]: _text(value) for key, value in params.items()}


def _text(value: str) -> str:
    """Return a text that any database takes."""
    return value.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _shortened(value: str, length: int) -> str:
    return value if len(value) <= length else value[: length - len(_MARKER)] + _MARKER


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
