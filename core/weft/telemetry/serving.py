"""MLflow's page on a store, for this machine only."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator

from weft.errors import ConfigError, UserError, WeftError
from weft.telemetry.redaction import redact
from weft.telemetry.store import SETTINGS, absolute_uri, database_file, locked, shown


def serve(uri: str, host: str = "127.0.0.1", port: int = 5000, ready: Callable[[str], object] = print) -> None:
    """Run MLflow's page on a store until SIGINT, SIGTERM or SIGHUP; call `ready` with its address when it answers.

    Raises:
        UserError: the store is a server itself, the address isn't this machine's own, or the port is taken.
        WeftError: MLflow's server ended by itself.
    """
    if uri.startswith(("http://", "https://")):
        raise ConfigError(f"{shown(uri)}: is a server with a page of its own; open it in a browser")
    if host not in ("127.0.0.1", "localhost"):
        raise UserError(f"host: {host!r} is open to others, and the page asks nobody who they are; give 127.0.0.1")
    _check_port(host, port)
    uri = absolute_uri(uri)
    environment = {
        **os.environ,
        **SETTINGS,
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
            opening.enter_context(locked(uri))  # the server makes its tables now; a run that starts waits for them
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
