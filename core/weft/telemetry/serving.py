"""MLflow's server on a store: what it may do, and its life as one process group."""

from __future__ import annotations

import base64
import collections
import configparser
import contextlib
import http.client
import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from weft.errors import ConfigError, WeftError
from weft.telemetry.access import PASSWORD, Account, Address, names
from weft.telemetry.redaction import redact
from weft.telemetry.store import SERVED, SETTINGS, absolute_uri, check_reached, database_file, fast_uri, shown

_RULED = ("MLFLOW_", "_MLFLOW_", "UVICORN_", "GUNICORN_", "FLASK_")
"""Environment variables that change what a server does; they are set here, and come from outside only when they are…"""
_PASSED = ("MLFLOW_S3_", "MLFLOW_GCS_", "MLFLOW_SQLALCHEMYSTORE_", "MLFLOW_FLASK_SERVER_SECRET_KEY")
"""…one of these: ways to reach a bucket or a database, and a key that several servers share."""
_SAFE = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
    "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": "^(mlflow-artifacts|models|runs|file):",
    "PYTHONWARNINGS": "ignore",  # MLflow's own, of its dependencies
    "PYTHONSAFEPATH": "1",  # what lies in the current folder is not imported
}
_TOLD = 2000  # characters of a line, and of what a server said last
_Tell = Callable[[str], object]


def _nobody(_: str) -> None:
    """Tell nobody."""


def serve(
    uri: str,
    host: str = "127.0.0.1",
    port: int = 5000,
    ready: _Tell = print,
    *,
    artifacts: str | None = None,
    workers: int = 1,
    admin: Account | None = None,
    allowed: Sequence[str] = (),
    tell: _Tell = _nobody,
) -> None:
    """Run MLflow's server on a database until SIGINT, SIGTERM or SIGHUP.

    Args:
        uri: of the database; one that isn't there yet is made.
        host: an address of this machine's; one that others can connect to needs `admin` and `allowed`.
        ready: called with the server's address when it answers.
        artifacts: folder or object store that the server keeps clients' files in; by default `MLFLOW_ARTIFACTS_DESTINATION`,
            else `artifacts` beside an SQLite file.
        workers: processes that answer.
        admin: with it everyone is asked who they are.
        allowed: names that the server is reached by, beside this machine's own.
        tell: called with each line that the server writes.

    Raises:
        UserError: the store is a server itself or can't be reached, the address can't be, is open to others or taken.
        WeftError: MLflow's server ended by itself.
    """
    check_served(uri)
    address = Address(host, port)
    hosts = names(address, allowed, admin)
    if database_file(uri) is None:
        check_reached(uri)
    environment = _environment(uri, artifacts)
    command = [sys.executable, "-m", "weft.telemetry.server"]
    command += ["--host", address.numbers, "--port", str(port), "--workers", str(workers)]
    command += ["--allowed-hosts", ",".join(hosts), "--cors-allowed-origins", ",".join(_origins(hosts))]
    command += ["--uvicorn-opts", "--log-level warning --no-access-log"]
    with contextlib.ExitStack() as stack:
        stopped = stack.enter_context(_stopped_by_signals())
        if admin is not None:
            command += ["--app-name", "basic-auth"]
            environment |= stack.enter_context(_accounts(uri, admin))
        server = stack.enter_context(_Group(command, environment, tell))
        while not stopped.wait(0.1) and server.is_alive:
            if _asked(address, hosts[0], "/health") == 200:
                if admin is not None and _asked(address, hosts[0], "/api/2.0/mlflow/users/current", admin) != 200:
                    raise ConfigError(f"admin: {admin.name!r} is known to {_where(uri)} with another password")
                ready(address.url)
                while not stopped.wait(0.5) and server.is_alive:
                    pass
                break
        if not stopped.is_set():
            raise WeftError(f"MLflow's server ended by itself, {server.last_words()}")


def check_served(uri: str) -> None:
    """Check that a store is one that a server is made for.

    Raises:
        ConfigError: it is a server itself.
    """
    if uri.startswith(("http://", "https://")):
        raise ConfigError(f"{shown(uri)}: is a server with a page of its own; open it in a browser")


def _environment(uri: str, artifacts: str | None) -> dict[str, str]:
    """Return the environment of a server: nothing in it that would open what is closed here."""
    chosen = {name: value for name, value in os.environ.items() if not name.startswith(_RULED) or name.startswith(_PASSED)}
    database = database_file(uri)
    destination = artifacts or os.environ.get("MLFLOW_ARTIFACTS_DESTINATION")
    if destination is None and database is not None:
        destination = str(database.parent / "artifacts")
    if destination is not None:
        chosen["MLFLOW_ARTIFACTS_DESTINATION"] = destination if "://" in destination else Path(destination).absolute().as_uri()
    # Not as arguments: they may hold a password, and others see arguments. The registry is MLflow's own on the same tables.
    chosen |= {"MLFLOW_BACKEND_STORE_URI": fast_uri(uri), "MLFLOW_REGISTRY_STORE_URI": absolute_uri(uri)}
    return {**chosen, **SETTINGS, **_SAFE, SERVED: "1"}


def _origins(hosts: Sequence[str]) -> list[str]:
    """Return where the page comes from when a browser shows it: straight from the server, or by way of a proxy with TLS."""
    return [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]


@contextlib.contextmanager
def _accounts(uri: str, admin: Account) -> Iterator[dict[str, str]]:
    """Give the settings of MLflow's accounts. They are kept beside an SQLite store, in a file of their own, or in the tables of
    another database.

    Raises:
        ConfigError: what MLflow needs for them isn't installed.
    """
    if importlib.util.find_spec("flask_wtf") is None:
        raise ConfigError("admin: accounts need what isn't installed: pip install 'weft[auth]'")
    file = _accounts_file(uri)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    settings = configparser.ConfigParser(interpolation=None)
    settings["mlflow"] = {
        "default_permission": "READ",
        "database_uri": (absolute_uri(uri) if file is None else f"sqlite:///{file}").replace("%", "%%"),
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
    }
    with tempfile.NamedTemporaryFile("w", prefix="weft-accounts-", suffix=".ini") as written:  # for this user's eyes only
        settings.write(written)
        written.flush()
        yield {
            "MLFLOW_AUTH_CONFIG_PATH": written.name,
            "MLFLOW_AUTH_ADMIN_USERNAME": admin.name,
            PASSWORD: admin.password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": os.environ.get("MLFLOW_FLASK_SERVER_SECRET_KEY") or secrets.token_hex(32),
        }


def _accounts_file(uri: str) -> Path | None:
    database = database_file(uri)
    return None if database is None else database.with_name(f"{database.stem}.accounts.db")


def _where(uri: str) -> str:
    return str(_accounts_file(uri) or shown(uri))


class _Group:
    """A server and the workers it starts, until the `with` is left; what they write is read as it comes."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], tell: _Tell):
        self._tell = tell
        self._last: collections.deque[str] = collections.deque(maxlen=40)
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,  # its end tells the server that this process is gone
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def last_words(self) -> str:
        """Return the code that it ended with, and what it said last."""
        code = self._process.wait()
        self._reader.join(1.0)  # workers may still hold the pipe
        return f"with code {code}: {''.join(self._last).strip()[-_TOLD:]}"

    def __enter__(self) -> _Group:
        return self

    def __exit__(self, *_: object) -> None:
        """End them all, politely at first."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # workers that outlived it, too
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            known = redact("output", line[:_TOLD])
            self._last.append(known)
            with contextlib.suppress(OSError):  # a terminal that is gone; the server would wait for a pipe that nobody reads
                self._tell(known.rstrip("\n"))


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


def _asked(address: Address, host: str, path: str, account: Account | None = None) -> int:
    """Return the status that a server answers with, 0 when it doesn't."""
    headers = {"Host": host}
    if account is not None:
        pair = base64.b64encode(f"{account.name}:{account.password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    connection = http.client.HTTPConnection(address.near, address.port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
