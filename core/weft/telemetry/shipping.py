"""Starts the process that ships a store's journals, from a process that trains."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import IO

from weft.errors import TrackingError
from weft.telemetry import lease
from weft.telemetry.redaction import redact
from weft.telemetry.spool import Spool

_PAUSE = 5.0
"""Seconds before another is started where one has come and gone."""


@dataclass
class _Started:
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    at: float


_warm: list[_Started] = []
_started: dict[str, _Started] = {}
_guard = threading.Lock()


def warm() -> None:
    """Start a process that can ship, so that its imports run beside others. It is told what to ship by `ensure`; nothing is
    written until then.

    Raises:
        TrackingError: no process can be started.
    """
    with _guard:
        if not _warm:
            _warm.append(_start())


def ensure(spool: Spool) -> None:
    """See that somebody ships this spool's journals.

    Raises:
        TrackingError: no process can be started, or one that was has failed; says what it printed.
    """
    if lease.held(spool.lock):
        return
    with _guard:
        known = _started.get(spool.uri)
        if known is not None:
            code = known.process.poll()
            if code is None or time.monotonic() - known.at < _PAUSE:  # it is at its imports, or has just come and gone
                return
            _started.pop(spool.uri)
            known.output.seek(0)
            told = redact("output", known.output.read()[-2000:].decode(errors="replace").strip())
            known.output.close()
            if code > 0:
                raise TrackingError(f"the process that ships to the store ended with code {code}: {told}")
        started = _warm.pop() if _warm else _start()
        pipe = started.process.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):
            # No argument, where others could read it: it may hold a password.
            pipe.write(json.dumps({"uri": spool.uri}).encode())
            pipe.close()
        _started[spool.uri] = started


def _start() -> _Started:
    # Its own session: signals from the terminal are for this process. PYTHONWARNINGS=error is, too.
    command = [sys.executable, "-P", "-W", "ignore", "-m", "weft.telemetry.shipper"]
    output = tempfile.TemporaryFile()  # noqa: SIM115 (read when the process has failed)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True, cwd="/", bufsize=0
        )
    except OSError as error:
        output.close()
        raise TrackingError(f"the process that ships to the store can't be started: {error}") from None
    return _Started(process, output, time.monotonic())


@atexit.register
def _leave() -> None:
    """Leave them to themselves: they outlive this process, until all is shipped. One that was told nothing ends now."""
    for started in (*_warm, *_started.values()):
        if started.process.stdin is not None:
            started.process.stdin.close()
        started.output.close()
        started.process.returncode = 0  # or Popen would warn that nobody waits for it


def _leave_to_parent() -> None:
    global _guard
    for started in _warm:
        if started.process.stdin is not None:
            started.process.stdin.close()
    _warm.clear()
    _started.clear()
    _guard = threading.Lock()


os.register_at_fork(after_in_child=_leave_to_parent)
