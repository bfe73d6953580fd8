"""The process that writes runs to a store of MLflow.

`python -m weft.telemetry.mlflow` takes messages as JSON lines and answers some of them. Each has a `verb` and the
number of its `run`:

    start     uri, artifact_root, name, experiment, params, tags, dataset, run_id, key, time  answered by run_id or by lost
    log       rows: of step, timestamp, keys, values
    tag       tags
    artifact  path, folder
    end       status, time                                           answered by ended, with what was refused

When its input ends, the process that trained is gone: runs that it left open become FAILED.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from weft.errors import TrackingError, WeftError
from weft.telemetry.store import database_file, in_one_line, opened, prepare, shown
from weft.telemetry.tracker import Status

if TYPE_CHECKING:
    from mlflow import MlflowClient

_METRICS = 1000  # in one request; so are the next four, by MLflow's validation
_POINTS = 10_000  # in one transaction
_PARAMS = 100
_KEY_LENGTH = 250
_PARAM_LENGTH = 6000
_TAG_LENGTH = 8000
_DIGEST_LENGTH = 36
_MARKER = "…"
_LISTED = 20
_ATTEMPTS = 5

_T = TypeVar("_T")
_Point = tuple[str, float, int, int]
_Reply = Callable[[Mapping[str, object]], None]
_Write = Callable[[str, Sequence[_Point]], None]


@lru_cache(maxsize=100_000)
def _key(name: str) -> str:
    """Return a name that MLflow takes as the key of a metric, param or tag."""
    parts = re.sub(r"[^/\w.\- :]", "_", name).split("/")
    key = "/".join("_" * max(1, len(part)) if part in ("", ".", "..") else part for part in parts)
    if len(key) <= _KEY_LENGTH:
        return key
    return f"{key[: _KEY_LENGTH - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _shortened(value: str, length: int) -> str:
    return value if len(value) <= length else value[: length - len(_MARKER)] + _MARKER


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _patiently(call: Callable[[], _T]) -> _T:
    """Call, and again while a database is locked: each attempt has waited for it 20 s already. A server is asked again by
    MLflow's own client."""
    from mlflow.exceptions import MlflowException

    for attempt in range(1, _ATTEMPTS):
        try:
            return call()
        except MlflowException as error:
            if error.error_code != "TEMPORARILY_UNAVAILABLE":
                raise
            time.sleep(attempt)
    return call()


class _Store:
    """One store, opened when the first run starts."""

    def __init__(self, uri: str):
        self.uri = uri
        self.is_server = database_file(uri) is None and uri.startswith("http")
        self._experiments: dict[str, str] = {}

    @cached_property
    def client(self) -> MlflowClient:
        return opened(self.uri)

    @cached_property
    def points(self) -> tuple[int, _Write]:
        """How many points are written at once, and what writes them."""
        client = self.client
        from mlflow.entities import Metric

        from weft.telemetry.fast_store import DIALECTS, FastStore

        if self.uri.startswith(DIALECTS):
            return _POINTS, FastStore(self.uri, "mlruns").log_points  # type: ignore[no-untyped-call]

        def request(run_id: str, points: Sequence[_Point]) -> None:
            metrics = [Metric(key, value, at, step) for key, value, step, at in points]
            client.log_batch(run_id, metrics=metrics, synchronous=True)

        return _METRICS, request

    def experiment(self, name: str, artifact_root: str | None) -> str:
        """Return the id of an experiment; make it where there is none.

        Raises:
            TrackingError: it has been deleted.
        """
        if name not in self._experiments:
            found = _patiently(lambda: self.client.get_experiment_by_name(name)) or self._make(name, artifact_root)
            if found.lifecycle_stage != "active":
                raise TrackingError(
                    f"experiment {name!r} in {shown(self.uri)} is deleted: restore it "
                    f"(mlflow experiments restore --experiment-id {found.experiment_id}), or choose another name"
                )
            self._experiments[name] = found.experiment_id
        return self._experiments[name]

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
            _patiently(lambda: self.client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was first
                raise
        return self.client.get_experiment_by_name(name)


class _Recorded:
    """One run in a store. What the store refuses is noted, and the rest goes on."""

    def __init__(self, store: _Store, run_id: str):
        self.run_id = run_id
        self.refused: list[str] = []
        self._refusals = 0
        self._client = store.client
        self._most, self._log_points = store.points
        self._is_server = store.is_server
        self._points: list[_Point] = []
        self._reached = True
        self._non_finite: dict[str, None] = {}

    def add(self, points: Iterator[_Point]) -> None:
        """Take points; write those that fill a request."""
        self._points.extend(points)
        while len(self._points) >= self._most and self._reached:
            self._write()

    def flush(self) -> None:
        """Write the points that are left. They stay, for the next time, while the store is out of reach."""
        self._reached = True
        while self._points and self._reached:
            self._write()

    def params(self, params: Mapping[str, str]) -> None:
        """Record params. One that is too long is cut, and kept whole as an artifact."""
        from mlflow.entities import Param

        entities = [Param(key, _shortened(value, _PARAM_LENGTH)) for key, value in params.items()]
        for chunk in _chunks(entities, _PARAMS):
            self.attempt("params", partial(self._client.log_batch, self.run_id, params=chunk, synchronous=True))
        for key, value in params.items():
            if len(value) > _PARAM_LENGTH:
                file = f"params/{re.sub(r'[^0-9A-Za-z_.-]', '_', key)}.txt"
                self.attempt(f"param {key}", partial(self._client.log_text, self.run_id, value, file))

    def tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        entities = [RunTag(_key(key), _shortened(value, _TAG_LENGTH)) for key, value in tags.items()]
        for chunk in _chunks(entities, _PARAMS):
            self.attempt("tags", partial(self._client.log_batch, self.run_id, tags=chunk, synchronous=True))

    def dataset(self, name: str, digest: str, source: str, profile: Mapping[str, object]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name, digest[:_DIGEST_LENGTH], "local", json.dumps({"uri": source}), profile=json.dumps(profile))
        given = DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
        self.attempt("dataset", lambda: self._client.log_inputs(self.run_id, [given]))

    def artifact(self, path: str, folder: str) -> None:
        keep = self._client.log_artifacts if os.path.isdir(path) else self._client.log_artifact
        self.attempt(f"artifact {path}", lambda: keep(self.run_id, path, folder or None))

    def end(self, status: str, at: int) -> list[str]:
        """Write what is left and set the status; return what was refused."""
        self.flush()
        if self._points:
            self._refuse(f"{len(self._points)} points, from {self._points[0][0]} on", TrackingError("out of reach"))
        if self.refused:
            self.tags({"weft.refused": "; ".join(self.refused)})
        self.attempt("status", lambda: self._client.set_terminated(self.run_id, status, at))
        if self._refusals > len(self.refused):
            self.refused.append(f"and {self._refusals - len(self.refused)} more")
        return self.refused

    def attempt(self, what: str, call: Callable[[], object]) -> None:
        try:
            _patiently(call)
        except Exception as error:
            self._refuse(what, error)

    def _refuse(self, what: str, error: Exception) -> None:
        self._refusals += 1
        if len(self.refused) < _LISTED:
            self.refused.append(f"{what}: {in_one_line(error)}")

    def _write(self) -> None:
        """Write as many points as fit a request, or keep them when the store is out of reach."""
        points, self._points = self._points[: self._most], self._points[self._most :]
        left = self._store(points)
        self._points = [*left, *self._points]
        self._reached = not left
        known = len(self._non_finite)
        self._non_finite |= {key: None for key, value, _, _ in points if isinstance(value, float) and not math.isfinite(value)}
        if known < len(self._non_finite) and known <= _LISTED:
            keys = list(self._non_finite)
            self.tags({"weft.non_finite": ", ".join(keys[:_LISTED]) + (f", {_MARKER}" if keys[_LISTED:] else "")})

    def _store(self, points: list[_Point]) -> list[_Point]:
        """Write points in one request; return those that are still to be written. MLflow refuses all of it for one bad
        point: halve, until that one is alone."""
        try:
            _patiently(
                partial(self._log_points, self.run_id, [(_key(key), value, step, at) for key, value, step, at in points])
            )
        except Exception as error:
            if self._is_out_of_reach(error):
                return points
            if len(points) > 1 and not self._is_gone():
                middle = len(points) // 2
                return [*self._store(points[:middle]), *self._store(points[middle:])]
            key, value, step, _ = points[0]
            more = f" and {len(points) - 1} more points" if len(points) > 1 else ""
            self._refuse(f"{key} = {value} at step {step}{more}", error)
        return []

    def _is_out_of_reach(self, error: Exception) -> bool:
        code = getattr(error, "error_code", "")
        return code == "TEMPORARILY_UNAVAILABLE" or (self._is_server and code == "INTERNAL_ERROR")

    def _is_gone(self) -> bool:
        """Whether the run has been deleted: then no part of a request will pass either."""
        try:
            stage: str = _patiently(lambda: self._client.get_run(self.run_id)).info.lifecycle_stage
        except Exception:
            return True
        return stage != "active"


def _start(store: _Store, message: Mapping[str, Any], reply: _Reply) -> _Recorded:
    """Open the run that a message describes, and answer with its id before all that is in it is written.

    Raises:
        TrackingError: there is no run.
    """
    params = {_key(key): value for key, value in message["params"].items()}
    experiment, run_id = "", message["run_id"]
    if run_id is None:
        experiment = store.experiment(message["experiment"], message["artifact_root"])
        run_id = _keyed(store, experiment, message["key"])
    if run_id is None:
        # Not tried again after an answer was lost, except by MLflow's client: there is no way to tell that it was made.
        tags = {_key(key): _shortened(value, _TAG_LENGTH) for key, value in message["tags"].items()}
        tags["mlflow.runName"] = message["name"]
        run = _patiently(lambda: store.client.create_run(experiment, message["time"], tags))
        recorded = _Recorded(store, run.info.run_id)
        reply({"run": message["run"], "run_id": recorded.run_id})
    else:
        recorded, known = _continued(store, run_id)
        reply({"run": message["run"], "run_id": recorded.run_id})
        changed = {
            f"weft.changed.{key}": value
            for key, value in params.items()
            if key in known and known[key] != _shortened(value, _PARAM_LENGTH)
        }
        recorded.tags({**message["tags"], **changed})
        params = {key: value for key, value in params.items() if key not in known}
    recorded.params(params)
    if message["dataset"] is not None:
        recorded.dataset(**message["dataset"])
    return recorded


def _keyed(store: _Store, experiment: str, key: str | None) -> str | None:
    """Return the run that this key was given to, if there is one."""
    if key is None:
        return None
    found = _patiently(lambda: store.client.search_runs([experiment], f"tags.`weft.key` = '{key}'", max_results=1))
    return found[0].info.run_id if found else None


def _continued(store: _Store, run_id: str) -> tuple[_Recorded, Mapping[str, str]]:
    """Set a run that is there back to RUNNING; return it and its params, which can't be changed."""
    from mlflow.exceptions import MlflowException

    try:
        run = _patiently(lambda: store.client.get_run(run_id))
    except MlflowException as error:
        raise TrackingError(f"{shown(store.uri)}: has no run {run_id!r} to go on in ({in_one_line(error)})") from None
    if run.info.lifecycle_stage != "active":
        raise TrackingError(
            f"run {run_id} in {shown(store.uri)} is deleted: restore it (mlflow runs restore --run-id {run_id})"
        )
    _patiently(lambda: store.client.update_run(run_id, status="RUNNING"))
    return _Recorded(store, run_id), run.data.params


def _follow(inbox: SimpleQueue[str | None], reply: _Reply) -> None:
    """Do what the messages say, until there are no more. Points wait while there are messages to read: what piled up
    during one request makes up the next."""
    stores: dict[str, _Store] = {}
    runs: dict[int, _Recorded] = {}
    while True:
        try:
            line = inbox.get_nowait()
        except Empty:
            for recorded in runs.values():
                recorded.flush()
            line = inbox.get()
        if line is None:
            break
        message = json.loads(line)
        number, verb = message["run"], message["verb"]
        if verb == "start":
            store = stores.setdefault(message["uri"], _Store(message["uri"]))
            try:
                runs[number] = _start(store, message, reply)
            except Exception as error:
                told = in_one_line(error) if isinstance(error, WeftError) else f"{shown(store.uri)}: {in_one_line(error)}"
                reply({"run": number, "lost": told})
        elif verb == "end":
            refused = runs.pop(number).end(message["status"], message["time"]) if number in runs else []
            reply({"run": number, "ended": refused})
        elif number in runs:
            _record(runs[number], verb, message)
    for recorded in runs.values():
        recorded.tags({"weft.error": "the process that trained ended without a word"})
        recorded.end(Status.FAILED, time.time_ns() // 1_000_000)


def _record(recorded: _Recorded, verb: str, message: Mapping[str, Any]) -> None:
    if verb == "log":
        for step, at, keys, values in message["rows"]:
            recorded.add((key, value, step, at) for key, value in zip(keys, values, strict=True))
    elif verb == "tag":
        recorded.tags(message["tags"])
    else:
        recorded.artifact(message["path"], message["folder"])


def _read(inbox: SimpleQueue[str | None]) -> None:
    """Take lines as they come, so that who writes them never waits for the store."""
    for line in sys.stdin:
        if line.endswith("\n"):  # one that doesn't is what a killed process was writing
            inbox.put(line)
    inbox.put(None)


def _main() -> None:
    # Signals go to whole process groups and sessions. What trained decides what they mean, and says so or dies.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    inbox: SimpleQueue[str | None] = SimpleQueue()
    threading.Thread(target=_read, args=(inbox,), daemon=True).start()
    replies = _take_stdout()

    def reply(message: Mapping[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody is left to read it
            print(json.dumps(message), file=replies, flush=True)

    prepare()
    _follow(inbox, reply)


def _take_stdout() -> TextIO:
    """Keep standard output for replies; what libraries print goes to standard error."""
    kept = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return kept


if __name__ == "__main__":
    _main()
