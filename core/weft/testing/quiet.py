"""What a component must leave alone while it is built and works: the terminal, the network, the folder, the process's state."""

from __future__ import annotations

import contextlib
import locale
import logging
import os
import random
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from weft.testing.outcome import Failure


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Raises at the end:
    Failure: something was printed, warned of, asked of the network, written to the current folder, or changed for good.
    """
    with tempfile.TemporaryDirectory(prefix="weft-check-") as folder:
        asked: list[str] = []
        before = _state()
        with (
            _elsewhere(folder),
            _captured() as printed,
            _refused_network(asked),
            warnings.catch_warnings(record=True) as warned,
        ):
            warnings.simplefilter("always")
            yield
        after = _state()
        written = sorted(path.name for path in Path(folder).iterdir())
    changed = [_change(name, before[name], after[name]) for name in before if before[name] != after[name]]
    found = [
        *(f"prints {text!r}" for text in printed),
        *(f"warns: {warning.category.__name__}: {warning.message}" for warning in warned[:3]),
        *(f"asks the network: {address}" for address in asked[:3]),
        *(f"writes to the current folder: {name}" for name in written[:3]),
        *(f"changes {change}" for change in changed),
    ]
    if found:
        raise Failure("; ".join(found))


def _change(name: str, before: Any, after: Any) -> str:
    """Return what has changed in words; of the environment, which holds secrets, the names only."""
    if isinstance(before, dict):
        return f"{name}: {', '.join(sorted(key for key in before | after if before.get(key) != after.get(key)))}"
    return f"{name} from {before} to {after}"


def _state() -> dict[str, Any]:
    """Return what of this process is everybody's. Random generators are not in it: a run seeds them before each part."""
    return {
        "torch's default type": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's threads": torch.get_num_threads(),
        "whether gradients are recorded": torch.is_grad_enabled(),
        "whether algorithms are deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly detection": torch.is_anomaly_enabled(),
        "numpy's treatment of errors": np.geterr(),
        "the environment": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "the import path": [*sys.path],
        "the locale": locale.setlocale(locale.LC_ALL),
        "the filters of warnings": len(warnings.filters),
        "the level of the log": logging.getLogger().level,
        "the handlers of the log": len(logging.getLogger().handlers),
        "what SIGINT does": signal.getsignal(signal.SIGINT),
        "what SIGTERM does": signal.getsignal(signal.SIGTERM),
        "the hook for errors": sys.excepthook,
        "Python's generator": type(random._inst),
    }


@contextlib.contextmanager
def _elsewhere(folder: str) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _captured() -> Iterator[list[str]]:
    """Take what is printed, also by what isn't Python; the list holds it at the end."""
    printed: list[str] = []
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        kept = [os.dup(stream) for stream in (1, 2)]
        streams = sys.stdout, sys.stderr
        try:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
            sys.stdout = sys.stderr = os.fdopen(os.dup(file.fileno()), "w", buffering=1, errors="replace")
            yield printed
        finally:
            sys.stdout.close()
            sys.stdout, sys.stderr = streams
            for stream, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, stream)
                os.close(copy)
            file.seek(0)
            text = file.read().decode(errors="replace").strip()
            printed += [text[:200]] if text else []


@contextlib.contextmanager
def _refused_network(asked: list[str]) -> Iterator[None]:
    real = socket.socket.connect, socket.getaddrinfo

    def connect(self: socket.socket, address: Any) -> None:
        if self.family != getattr(socket, "AF_UNIX", None):
            asked.append(str(address))
            raise OSError("a component under test has no network")
        real[0](self, address)

    def look_up(host: Any, *arguments: Any, **named: Any) -> Any:
        asked.append(str(host))
        raise OSError("a component under test has no network")

    socket.socket.connect, socket.getaddrinfo = connect, look_up  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        socket.socket.connect, socket.getaddrinfo = real  # type: ignore[method-assign]
