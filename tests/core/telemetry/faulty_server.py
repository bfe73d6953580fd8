"""MLflow's own server in this process, and before it what goes wrong on the way: answers that are lost, late or refusals."""

from __future__ import annotations

import io
import json
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

Fault = Callable[["FaultyServer", dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass
class FaultyServer:
    """A WSGI application. `plan` says of a request, told by its number and path, what is to become of it."""

    app: Callable[..., Iterable[bytes]]
    url: str = ""
    store: str = ""
    plan: Callable[[int, str], Fault | None] = lambda number, path: None
    requests: list[tuple[float, str]] = field(default_factory=list)
    injected: int = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"].partition("/mlflow/")[2] or environ["PATH_INFO"]
        fault = self.plan(len(self.requests), path)
        self.requests.append((time.monotonic(), path))
        if fault is None:
            return self.app(environ, start_response)
        self.injected += 1
        return fault(self, environ, start_response)

    def answer(self, environ: dict[str, Any]) -> bytes:
        """Have MLflow do what the request asks; return what it answers."""
        return b"".join(self.app(environ, lambda *_: None))

    def reset(self) -> None:
        """Let everything pass again."""
        self.plan = lambda number, path: None
        self.requests.clear()


def refusing(status: str, headers: dict[str, str] | None = None, body: object = None) -> Fault:
    """Refuse a request before anything is done."""

    def fault(server: FaultyServer, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        kind = "application/json" if body is not None else "text/html"
        start_response(status, [("Content-Type", kind), *(headers or {}).items()])
        return [json.dumps(body).encode() if body is not None else b"<html>no</html>"]

    return fault


def losing(server: FaultyServer, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Do what is asked, and answer that it failed."""
    server.answer(environ)
    start_response("500 Internal Server Error", [("Content-Type", "text/html")])
    return [b"lost"]


def breaking(server: FaultyServer, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Do what is asked, and break off in the middle of the answer."""
    body = server.answer(environ)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body) + 10))])
    return [body]


def slow(seconds: float) -> Fault:
    """Do what is asked, and answer late."""

    def fault(server: FaultyServer, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        time.sleep(seconds)
        return server.app(environ, start_response)

    return fault


def dripping(seconds: float) -> Fault:
    """Do what is asked, and answer byte by byte, with so long between two."""

    def fault(server: FaultyServer, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        for byte in b"".join(server.app(environ, start_response)):
            time.sleep(seconds)
            yield bytes([byte])

    return fault


def poisoned(word: str) -> Fault:
    """Refuse a request that holds a word, as MLflow refuses what it doesn't like."""

    def fault(server: FaultyServer, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if word.encode() not in body:
            server.injected -= 1
            return server.app(environ, start_response)
        start_response("400 Bad Request", [("Content-Type", "application/json")])
        return [json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": f"no {word} here"}).encode()]

    return fault


@contextmanager
def served(store: Path, port: int = 0) -> Iterator[FaultyServer]:
    """Serve a store. MLflow keeps the first that it was told of for the rest of the process, and says so in the environment:
    what it leaves there is taken back in the end."""
    with mock.patch.dict(os.environ):
        yield from _served(store, port)


def _served(store: Path, port: int) -> Iterator[FaultyServer]:
    uri = f"sqlite:///{store}"
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = uri
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = str(store.parent / "artifacts")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import starlette.middleware.wsgi  # noqa: F401 (MLflow imports it with its first request; it warns of itself)
        from mlflow.server import app
        from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: object) -> None:
            pass

    faulty = FaultyServer(app.wsgi_app, store=uri)
    server = make_server("127.0.0.1", port, faulty, threaded=True, request_handler=Quiet)
    faulty.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield faulty
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
