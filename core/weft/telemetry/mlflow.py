"""The only file that imports mlflow: the process that writes runs to a store, and what reads runs back.

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
import http.client
import json
import logging
import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TextIO, TypeVar
from urllib.parse import quote

from filelock import FileLock

from weft.errors import ConfigError, TrackingError, UserError, WeftError
from weft.telemetry.redaction import redact
from weft.telemetry.tracker import Status

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
_METRICS = 1000  # in one request; so are the next four, by MLflow's validation
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


def absolute_uri(uri: str) -> str:
    """Return the URI with the path of an SQLite file made absolute: another process has another current directory."""
    scheme, _, options = uri.partition("?")
    path = database_file(uri)
    if path is None:
        return uri
    return f"{scheme.partition(':')[0]}:///{path}" + (f"?{options}" if options else "")


def database_file(uri: str) -> Path | None:
    """Return the file of an SQLite URI, or None for any other."""
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)(?:\?.*)?", uri)
    return Path(match[1]).absolute() if match else None


def download(run_id: str, uri: str, folder_in_run: str, destination: Path) -> Path:
    """Copy a folder of a run's artifacts to a destination; return where it is.

    Raises:
        ConfigError: the store, the run or the folder isn't there.
    """
    client = _existing(uri)
    from mlflow.exceptions import MlflowException

    destination.mkdir(parents=True, exist_ok=True)
    try:
        client.get_run(run_id)
    except MlflowException as error:
        raise ConfigError(f"{_shown(uri)}: has no run {run_id!r} ({_text(error)})") from None
    try:
        return Path(client.download_artifacts(run_id, folder_in_run, str(destination)))
    except (MlflowException, OSError) as error:
        raise ConfigError(f"run {run_id} in {_shown(uri)}: has no {folder_in_run!r} ({_text(error)})") from None


def page(uri: str, experiment: str) -> str:
    """Return the part of an address that shows an experiment's runs as charts, behind a server's own.

    Raises:
        ConfigError: the store or the experiment isn't there.
    """
    found = _existing(uri).get_experiment_by_name(experiment)
    if found is None:
        raise ConfigError(f"{_shown(uri)}: has no experiment {experiment!r}")
    return f"#/experiments/{quote(found.experiment_id)}/runs?workflowType=machine_learning&compareRunsMode=CHART"


def serve(uri: str, host: str = "127.0.0.1", port: int = 5000, ready: Callable[[str], object] = print) -> None:
    """Run MLflow's page on a store until SIGINT, SIGTERM or SIGHUP; call `ready` with its address when it answers.

    Raises:
        UserError: the store is a server itself, the address isn't this machine's own, or the port is taken.
        WeftError: MLflow's server ended by itself.
    """
    if uri.startswith(("http://", "https://")):
        raise ConfigError(f"{_shown(uri)}: is a server with a page of its own; open it in a browser")
    if host not in ("127.0.0.1", "localhost"):
        raise UserError(f"host: {host!r} is open to others, and the page asks nobody who they are; give 127.0.0.1")
    _check_port(host, port)
    uri = absolute_uri(uri)
    environment = {
        **os.environ,
        **_SETTINGS,
        "MLFLOW_BACKEND_STORE_URI": uri,  # not as an argument: it may hold a password, and others see arguments
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    allowed = f"localhost:{port},127.0.0.1:{port}"
    command = [sys.executable, "-P", "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    command += ["--allowed-hosts", allowed, "--workers", "1"]
    database = database_file(uri)
    if database is not None:
        environment.setdefault("MLFLOW_ARTIFACTS_DESTINATION", (database.parent / "artifacts").as_uri())
    with _stopped_by_signals() as stopped, tempfile.TemporaryFile() as output, contextlib.ExitStack() as opening:
        if database is not None and not database.exists():
            opening.enter_context(_locked(uri))  # the server makes its tables now; a run that starts waits for them
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while not stopped.wait(0.1) and process.poll() is None:
                if _answers(host, port):
                    opening.close()
                    ready(f"http://{host}:{port}")
                    while not stopped.wait(0.5) and process.poll() is None:
                        pass
                    break
            if not stopped.is_set():
                output.seek(0)
                told = redact("output", output.read()[-2000:].decode(errors="replace").strip())
                raise WeftError(f"MLflow's server ended by itself, with code {process.wait()}: {told}")
        finally:
            _stop_group(process)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Give an event that the signals that end a program set, instead of ending it."""
    stopped = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, lambda *_: stopped.set())
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    """End the server and the workers it has started, politely at first."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # workers that outlived it, too
    process.wait()


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(f"port {port} of {host} can't be used ({error.strerror}); choose another") from None


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _existing(uri: str) -> MlflowClient:
    """Open a store to read from it: a database that isn't there is an error, not made."""
    database = database_file(uri)
    if database is not None and not database.exists():
        raise ConfigError(f"{_shown(uri)}: there is no such file")
    return _open(absolute_uri(uri))


def _open(uri: str) -> MlflowClient:
    """Connect to a store. Of several processes that meet a new database, one makes its tables; MLflow's own way of doing so
    lets them all begin, and all but one crash."""
    _prepare()
    from mlflow import MlflowClient

    with _locked(uri):
        return MlflowClient(tracking_uri=uri)


def _prepare() -> None:
    """Import mlflow, and what a database store imports on its first use."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    import_module("mlflow.store.tracking.sqlalchemy_store")


def _locked(uri: str) -> contextlib.AbstractContextManager[object]:
    database = database_file(uri)
    if database is None:
        return contextlib.nullcontext()
    database.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(f"{database}.lock")


def _shown(uri: str) -> str:
    return redact("uri", uri)


def _text(error: Exception) -> str:
    """Return an error in one line; those of a database go on with the statement, and with a link to its manual."""
    text = str(error).split("\n[SQL", maxsplit=1)[0].replace("\n", " ").strip()
    return redact("error", text[:1000]) or type(error).__name__


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
        self._client: MlflowClient | None = None
        self._experiments: dict[str, str] = {}

    @property
    def client(self) -> MlflowClient:
        if self._client is None:
            self._client = _open(self.uri)
        return self._client

    def experiment(self, name: str, artifact_root: str | None) -> str:
        """Return the id of an experiment; make it where there is none.

        Raises:
            TrackingError: it has been deleted.
        """
        if name not in self._experiments:
            found = _patiently(lambda: self.client.get_experiment_by_name(name)) or self._make(name, artifact_root)
            if found.lifecycle_stage != "active":
                raise TrackingError(
                    f"experiment {name!r} in {_shown(self.uri)} is deleted: restore it "
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
        self._is_server = store.is_server
        self._points: list[_Point] = []
        self._reached = True
        self._non_finite: dict[str, None] = {}

    def add(self, points: Iterator[_Point]) -> None:
        """Take points; write those that fill a request."""
        self._points.extend(points)
        while len(self._points) >= _METRICS and self._reached:
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
            self.refused.append(f"{what}: {_text(error)}")

    def _write(self) -> None:
        """Write as many points as fit a request, or keep them when the store is out of reach."""
        points, self._points = self._points[:_METRICS], self._points[_METRICS:]
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
        from mlflow.entities import Metric

        metrics = [Metric(_key(key), value, at, step) for key, value, step, at in points]
        try:
            _patiently(partial(self._client.log_batch, self.run_id, metrics=metrics, synchronous=True))
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
        raise TrackingError(f"{_shown(store.uri)}: has no run {run_id!r} to go on in ({_text(error)})") from None
    if run.info.lifecycle_stage != "active":
        raise TrackingError(
            f"run {run_id} in {_shown(store.uri)} is deleted: restore it (mlflow runs restore --run-id {run_id})"
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
                told = _text(error) if isinstance(error, WeftError) else f"{_shown(store.uri)}: {_text(error)}"
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

    _prepare()
    _follow(inbox, reply)


def _take_stdout() -> TextIO:
    """Keep standard output for replies; what libraries print goes to standard error."""
    kept = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return kept


if __name__ == "__main__":
    _main()
