"""A server as others meet it: what it takes, what it refuses, and that nothing of it is left."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.core.telemetry.conftest import Client
from tests.core.telemetry.test_access import GOOD, free_port
from weft.telemetry import serving
from weft.telemetry import store as stores
from weft.telemetry.access import PASSWORD

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.integration

_NOW = 1_700_000_000_000
_JSON = {"Content-Type": "application/json"}


class Served:
    """`weft serve` in a process of its own."""

    def __init__(self, *options: str, **environment: str):
        self.port = free_port()
        command = [sys.executable, "-m", "weft.cli", "serve", "--port", str(self.port), *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def await_ready(self) -> Served:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(f"MLflow's server: {self.url} "), (line, self.process.communicate())
        return self

    def children(self) -> list[psutil.Process]:
        """Return all that it has started, and they have."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal; return the code, the output and the errors."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def ask(
        self,
        path: str,
        method: str = "GET",
        content: Any = None,
        account: tuple[str, str] | None = None,
        **headers: str,
    ) -> tuple[int, str]:
        """Return the status and the text of an answer."""
        if account is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(':'.join(account).encode()).decode()}"
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self.url + path, data, {**_JSON, **headers}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")


def gone(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Wait for processes to end; return those that did not."""
    _, alive = psutil.wait_procs(processes, timeout=30)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


Serve = Callable[..., Served]


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    started: list[Served] = []

    def start(*options: str, **environment: str) -> Served:
        started.append(Served(*options, **environment))
        return started[-1]

    yield start
    for served in started:
        served.process.terminate()
        served.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Path:
    path = tmp_path_factory.mktemp("served")
    shutil.copy(template, path / "mlflow.db")
    return path


@pytest.fixture(scope="module")
def server(serve: Serve, folder: Path) -> Served:
    """A server for this machine, that the tests of this module share."""
    hostile = {"MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true", "UVICORN_HOST": "0.0.0.0"}
    hostile |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "true", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "*"}
    return serve("--uri", f"sqlite:///{folder}/mlflow.db", **hostile).await_ready()


def log_and_read(client: MlflowClient, tmp_path: Path) -> tuple[str, list[Any]]:
    """Record a run as any client would, read it back, and return its id and the points of one series."""
    from mlflow.entities import Metric, Param, RunTag

    experiment = client.create_experiment("from-elsewhere")
    run = client.create_run(experiment, run_name="first").info.run_id
    client.log_batch(run, params=[Param("lr", "0.1")], tags=[RunTag("team", "blue")], synchronous=True)
    points = [Metric("loss", index / 7, _NOW + index, index) for index in range(10_000)]
    for start in range(0, len(points), 1000):
        client.log_batch(run, metrics=points[start : start + 1000], synchronous=True)
    client.log_batch(run, metrics=points[500:1500], synchronous=True)  # sent again, as after a lost answer
    client.log_metric(run, "odd", float("nan"), _NOW, 1)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"\0\1\2")
    client.log_artifacts(run, str(tmp_path / "model"), "model")
    client.log_text(run, "over http", "notes.txt")
    client.set_terminated(run)
    found = client.get_run(run)
    assert (found.info.status, found.data.params, found.data.tags["team"]) == ("FINISHED", {"lr": "0.1"}, "blue")
    assert found.data.metrics["loss"] == 9_999 / 7
    assert found.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert Path(client.download_artifacts(run, "model/weights.bin", str(tmp_path))).read_bytes() == b"\0\1\2"
    history = client.get_metric_history(run, "loss")
    assert sorted((point.step, point.timestamp, point.value) for point in history) == [
        (index, _NOW + index, index / 7) for index in range(10_000)
    ]
    return run, history


def test_a_client_records_through_it_and_reads_back(server: Served, folder: Path, client: Client, tmp_path: Path) -> None:
    run, _ = log_and_read(client(server.url), tmp_path)
    same = client(f"sqlite:///{folder}/mlflow.db")
    assert len(same.get_metric_history(run, "loss")) == 10_000
    assert [path.read_bytes() for path in (folder / "artifacts").rglob("weights.bin")] == [b"\0\1\2"]


def test_it_writes_by_weft_s_store(server: Served) -> None:
    environments = [process.environ() for process in server.children()]
    assert all(found["MLFLOW_BACKEND_STORE_URI"].startswith("weft+sqlite:////") for found in environments)


def test_it_listens_on_this_machine_alone(server: Served) -> None:
    found = {
        connection.laddr.ip
        for process in server.children()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == server.port
    }
    assert found == {"127.0.0.1"}


_SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


@pytest.mark.parametrize("host", ["evil.example", "192.168.1.9", "10.0.0.1:5000", "localhost", "127.0.0.1.evil.example"])
def test_a_host_that_is_not_its_own(server: Served, host: str) -> None:
    assert server.ask(_SEARCH, Host=host) == (403, "Invalid Host header - possible DNS rebinding attack detected")
    assert server.ask(_SEARCH, Host=f"localhost:{server.port}")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1.evil.example", "null"])
def test_a_page_from_elsewhere_changes_nothing(server: Served, origin: str) -> None:
    create = "/api/2.0/mlflow/experiments/create"
    assert server.ask(create, "POST", {"name": origin}, Origin=origin) == (403, "Cross-origin request blocked")
    assert server.ask(create, "POST", {"name": "own page"}, Origin=server.url)[0] in (200, 400)
    status, text = server.ask("/api/2.0/mlflow/experiments/search", "POST", {"max_results": 100}, Origin=server.url)
    assert status == 200
    assert origin not in text


def test_jobs_are_not_run(server: Served) -> None:
    names = ["invoke_scorer", "run_online_trace_scorer", "optimize_prompts", "generate_issue_detection"]
    for name in names:
        status, text = server.ask("/ajax-api/3.0/jobs/", "POST", {"job_name": name, "params": {}})
        assert status >= 400, text
    assert not [process for process in server.children() if "huey" in " ".join(process.cmdline())]
    assert {process.environ()["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] for process in server.children()} == {"false"}


def test_it_calls_no_other_service(server: Served) -> None:
    status, text = server.ask("/api/3.0/mlflow/gateway/endpoints/list")
    assert (status, "is disabled" in text) == (501, True)
    assert {process.environ()["MLFLOW_DISABLE_TELEMETRY"] for process in server.children()} == {"true"}


@pytest.mark.parametrize("place", ["file:///etc", "/etc", "mlflow-artifacts://evil.example/x", "s3://other", "../../etc"])
def test_a_client_does_not_say_where_files_go(server: Served, place: str) -> None:
    status, text = server.ask("/api/2.0/mlflow/experiments/create", "POST", {"name": place, "artifact_location": place})
    assert status == 400, text


@pytest.mark.parametrize("path", ["../mlflow.db", "..%2f..%2fmlflow.db", "%2e%2e/mlflow.db", "..%5cmlflow.db", "/etc/passwd"])
def test_files_outside_are_not_served(server: Served, path: str) -> None:
    for base in ("/api/2.0/mlflow-artifacts/artifacts/", "/api/2.0/mlflow-artifacts/artifacts?path="):
        status, text = server.ask(base + path)
        assert status >= 400 or text.replace(" ", "").replace("\n", "") in ("{}", '{"files":[]}'), text
        assert "SQLite" not in text
        assert "root:" not in text


class Payload:
    """Something that a pickle would run."""

    def __reduce__(self) -> Any:
        return print, ("loaded",)


def test_a_pickle_is_not_loaded(server: Served, client: Client, tmp_path: Path) -> None:
    """In the environment that the server's own processes have."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.pkl").write_bytes(pickle.dumps(Payload()))
    text = "flavors:\n  sklearn: {pickled_model: model.pkl, serialization_format: pickle, sklearn_version: 1.9.1}\n"
    (tmp_path / "model" / "MLmodel").write_text(text)
    code = f"import mlflow.sklearn; mlflow.sklearn.load_model({str(tmp_path / 'model')!r})"
    environments = [process.environ() for process in server.children()]
    done = subprocess.run([sys.executable, "-c", code], env=environments[-1], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Deserializing this model is disallowed" in done.stderr
    assert {found["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] for found in environments} == {"false"}


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(number, marks=pytest.mark.accept) for number in (signal.SIGINT, signal.SIGHUP))]
)
def test_it_ends_with_its_workers(serve: Serve, folder: Path, tmp_path: Path, number: signal.Signals) -> None:
    shutil.copy(folder / "mlflow.db", tmp_path / "mlflow.db")
    served = serve(
        "--uri", f"sqlite:///{tmp_path}/mlflow.db", "--workers", "2" if number is signal.SIGTERM else "1"
    ).await_ready()
    family = served.children()
    assert len(family) >= 2
    code, _, errors = served.stop(number)
    assert code == 0, errors
    assert "Traceback" not in errors
    assert gone(family) == []
    _bind(served.port)


def test_it_does_not_outlive_who_was_killed(serve: Serve, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "mlflow.db", tmp_path / "mlflow.db")
    served = serve("--uri", f"sqlite:///{tmp_path}/mlflow.db").await_ready()
    family = served.children()
    assert len(family) >= 4  # MLflow's command, uvicorn, two workers
    assert served.stop(signal.SIGKILL)[0] == -signal.SIGKILL
    assert gone(family) == []
    _bind(served.port)


def test_nor_when_that_was_while_it_started(serve: Serve, tmp_path: Path) -> None:
    served = serve("--uri", f"sqlite:///{tmp_path}/new.db")
    while not (family := served.children()):
        assert served.process.poll() is None
    served.stop(signal.SIGKILL)
    assert gone(family) == []
    _bind(served.port)


def test_a_server_that_fails_says_why(serve: Serve, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE experiments (x)")
    served = serve("--uri", f"sqlite:///{tmp_path}/other.db")
    out, errors = served.process.communicate(timeout=120)
    assert (served.process.returncode, out) == (1, "")
    assert "error: MLflow's server ended by itself, with code 1: " in errors


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Path:
    """Where its store lies."""
    path = tmp_path_factory.mktemp("accounts")
    shutil.copy(template, path / "mlflow.db")
    return path


@pytest.fixture(scope="module")
def guarded(serve: Serve, place: Path) -> Served:
    """A server that asks who it is."""
    options = ["--admin", "ann", "--allowed-host", "tracker.example.org", "--workers", "1"]
    return serve("--uri", f"sqlite:///{place}/mlflow.db", *options, **{PASSWORD: GOOD}).await_ready()


def test_a_server_whose_lines_nobody_takes_goes_on() -> None:
    """A terminal that is closed must not fill the pipe, for the server would wait then."""

    def refuse(_: str) -> None:
        raise BrokenPipeError

    command = [sys.executable, "-c", "for _ in range(100): print('x' * 10_000, flush=True)\nprint('the end')"]
    with serving._Group(command, os.environ, refuse) as group:
        assert group.last_words().endswith("the end")
        assert group.last_words().startswith("with code 0: ")


class TestAccounts:
    """A server that asks who it is, on a store of its own."""

    @pytest.mark.parametrize("account", [None, ("ann", "wrong-password-9"), ("admin", "password1234"), ("nobody", GOOD)])
    def test_a_stranger_is_refused(self, guarded: Served, account: tuple[str, str] | None) -> None:
        for path in (_SEARCH, "/", "/api/2.0/mlflow-artifacts/artifacts?path=", "/ajax-api/3.0/jobs/x", "/signup"):
            assert guarded.ask(path, account=account)[0] == 401, path
        content = {"username": "eve", "password": GOOD}
        assert guarded.ask("/api/2.0/mlflow/users/create", "POST", content, account)[0] == 401

    def test_the_account_records(
        self, guarded: Served, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", GOOD)
        log_and_read(client(guarded.url), tmp_path)

    def test_it_answers_to_the_name_it_was_given(self, guarded: Served) -> None:
        ann = ("ann", GOOD)
        for host in ("tracker.example.org", f"tracker.example.org:{guarded.port}"):
            assert guarded.ask(_SEARCH, account=ann, Host=host)[0] == 200
        assert guarded.ask(_SEARCH, account=ann, Host="evil.example")[0] == 403
        create = "/api/2.0/mlflow/experiments/create"
        assert guarded.ask(create, "POST", {"name": "x"}, ann, Origin="https://tracker.example.org")[0] == 200
        assert guarded.ask(create, "POST", {"name": "y"}, ann, Origin="https://evil.example")[0] == 403

    def test_others_read_and_change_their_own_only(self, guarded: Served) -> None:
        ann, bob = ("ann", GOOD), ("bob", "another-harbour-82")
        content = {"username": bob[0], "password": bob[1]}
        assert guarded.ask("/api/2.0/mlflow/users/create", "POST", content, bob)[0] == 401
        assert guarded.ask("/api/2.0/mlflow/users/create", "POST", content, ann)[0] == 200
        assert guarded.ask(_SEARCH, account=bob)[0] == 200
        made = json.loads(guarded.ask("/api/2.0/mlflow/experiments/create", "POST", {"name": "ann's"}, ann)[1])
        assert guarded.ask("/api/2.0/mlflow/experiments/delete", "POST", made, bob)[0] == 403
        assert guarded.ask("/api/2.0/mlflow/users/delete", "DELETE", {"username": "ann"}, bob)[0] == 403

    def test_secrets_are_for_their_owner(self, guarded: Served, place: Path) -> None:
        assert (place / "mlflow.accounts.db").stat().st_mode & 0o777 == 0o600
        family = [psutil.Process(guarded.process.pid), *guarded.children()]
        assert not [process for process in family if GOOD in " ".join(process.cmdline())]
        settings = Path(guarded.children()[0].environ()["MLFLOW_AUTH_CONFIG_PATH"])
        assert settings.stat().st_mode & 0o777 == 0o600

    def test_it_starts_again_with_its_password_only(self, guarded: Served, serve: Serve, place: Path) -> None:
        """The last of this class: it ends the server."""
        settings = Path(guarded.children()[0].environ()["MLFLOW_AUTH_CONFIG_PATH"])
        family = guarded.children()
        code, _, errors = guarded.stop()
        assert code == 0
        assert GOOD not in errors
        assert gone(family) == []
        assert not settings.exists()
        options = ["--uri", f"sqlite:///{place}/mlflow.db", "--admin", "ann", "--workers", "1"]
        again = serve(*options, **{PASSWORD: "not-the-one-of-old"})
        out, errors = again.process.communicate(timeout=120)
        assert (again.process.returncode, out) == (2, "")
        assert f"error: admin: 'ann' is known to {place}/mlflow.accounts.db with another password" in errors


def test_a_server_on_postgresql(serve: Serve, postgresql: str, client: Client, tmp_path: Path) -> None:
    """With accounts, in the tables of the same database."""
    import sqlalchemy as sa

    engine = sa.create_engine(postgresql, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE served"))
    engine.dispose()
    uri = postgresql.replace("/postgres?", "/served?")
    secret = tmp_path / "secret"
    secret.write_text(GOOD)
    secret.chmod(0o600)
    options = ["--artifacts", str(tmp_path / "files"), "--admin", "ann", "--password-file", str(secret), "--workers", "1"]
    served = serve("--uri", uri, *options).await_ready()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
        patch.setenv("MLFLOW_TRACKING_PASSWORD", GOOD)
        run, _ = log_and_read(client(served.url), tmp_path)
    assert served.ask(_SEARCH)[0] == 401
    assert [path.read_bytes() for path in (tmp_path / "files").rglob("weights.bin")] == [b"\0\1\2"]
    assert len(client(uri).get_metric_history(run, "loss")) == 10_000
    family = served.children()
    assert served.stop()[0] == 0
    assert gone(family) == []


def test_mlflow_opens_weft_s_schemes(template: Path, tmp_path: Path, client: Client) -> None:
    """As a plugin's, in a process that knows nothing of weft."""
    shutil.copy(template, tmp_path / "mlflow.db")
    uri = f"weft+sqlite:///{tmp_path}/mlflow.db"
    code = (
        "import sys, mlflow\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "mlflow.set_experiment('new')\n"
        "with mlflow.start_run() as run:\n"
        "    mlflow.log_metrics({'a': 1.0, 'b': 2.0}, step=3)\n"
        "    mlflow.log_text('x', 'notes.txt')\n"
        "client = mlflow.MlflowClient()\n"
        "client.create_registered_model('known')\n"
        "print(run.info.run_id, type(client._tracking_client.store).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, uri], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run, kind = done.stdout.split()
    assert kind == "FastStore"
    same = client(f"sqlite:///{tmp_path}/mlflow.db")
    assert same.get_run(run).data.metrics == {"a": 1.0, "b": 2.0}
    assert [model.name for model in same.search_registered_models()] == ["known"]
    assert [path.read_text() for path in (tmp_path / "artifacts").rglob("notes.txt")] == ["x"]
    assert not (tmp_path / "mlruns").exists()


def test_weft_s_schemes_are_mlflow_s_databases(tmp_path: Path) -> None:
    assert stores.absolute_uri(f"weft+sqlite:///{tmp_path}/x.db?timeout=3") == f"sqlite:///{tmp_path}/x.db?timeout=3"
    assert stores.absolute_uri("weft+postgresql+psycopg://h/d") == "postgresql+psycopg://h/d"
    assert stores.absolute_uri("weft+mysql://h/d") == "weft+mysql://h/d"
    assert stores.database_file(f"weft+sqlite:///{tmp_path}/x.db") == tmp_path / "x.db"
    assert stores.fast_uri("sqlite:////a/x.db") == stores.fast_uri("weft+sqlite:////a/x.db") == "weft+sqlite:////a/x.db"
    assert stores.fast_uri("postgresql+psycopg://h/d") == "weft+postgresql+psycopg://h/d"
    assert stores.fast_uri("mysql+pymysql://h/d") == "mysql+pymysql://h/d"


def test_an_installation_that_is_older_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "entry_points", lambda **_: ())
    with pytest.raises(stores.WeftError, match="is older than its code; install it again"):
        stores.fast_uri("sqlite:////a/x.db")


def _bind(port: int) -> None:
    """Fail if a port is taken."""
    import socket

    deadline = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return
            except OSError:
                assert time.monotonic() < deadline, f"port {port} is still taken"
                time.sleep(0.05)
