"""One call in a process of its own: forked from a warm server in some 30 ms, ended with its parent, its children with it."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import json
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from pathlib import Path
from types import ModuleType
from typing import Any

if sys.platform != "win32":
    import fcntl

_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1

PRELOADED = "WEFT_PRELOADED"
"""Variable that names the file in which the server finds the kinds and names of the parts it is to load, as JSON."""


class Tell:
    """What a call has of its parent: `tell(message)` says something, `tell.ask(message)` also waits for an answer. A message is
    anything that can be pickled."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def __call__(self, message: Any) -> None:
        with contextlib.suppress(BrokenPipeError, OSError):  # a parent that is gone hears nothing
            self._connection.send((message, False))

    def ask(self, message: Any) -> Any:
        """Say something, and return what the parent answers.

        Raises:
            EOFError: the parent is gone.
        """
        self._connection.send((message, True))
        return self._connection.recv()


@dataclass(frozen=True)
class Call:
    """What a process is to do: `function(tell, *arguments)`, where `function` is written as `module:name`, so that who calls
    need not import it. What it and its children print goes to the end of the file `output`, by default to where the parent's
    goes. `environment` are variables that it gets beside the server's."""

    function: str
    arguments: tuple[Any, ...] = ()
    output: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def context(start: str = "forkserver") -> BaseContext:
    """Return the way of starting processes: a server's forks, or new interpreters where a system has no forks."""
    known = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context(start if start in known else "spawn")


def warm() -> None:
    """Start the server that processes are forked from. Returns at once: its imports, torch first, go on beside. A server that
    runs stays as it is. Where there are no forks nothing happens."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return
    from multiprocessing import forkserver

    forkserver.set_forkserver_preload(["weft.sweep.server"])
    _end_with_this_process(os.getpid())
    os.environ[PRELOADED] = str(_told())
    try:
        forkserver.ensure_running()
    finally:
        del os.environ[PRELOADED]


@functools.cache
def _end_with_this_process(own: int) -> None:
    """See that the server doesn't go on with its imports when this process has ended: who reads what both print would wait."""
    from multiprocessing import forkserver

    def end() -> None:
        server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        if server is not None and os.getpid() == own:
            with contextlib.suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)

    atexit.register(end)


def preload(parts: Collection[tuple[str, str]]) -> None:
    """Have these parts (kind and name) loaded by a server that is still importing torch; a later one does without."""
    told = _told()
    beside = told.with_suffix(".new")
    beside.write_text(json.dumps([*parts]))
    beside.replace(told)


def _told() -> Path:
    return Path(multiprocessing.util.get_temp_dir()) / "parts.json"


class Child:
    """A call under way.

    Args:
        call: what it does.
        way: what `context` gave.
    """

    def __init__(self, call: Call, way: BaseContext):
        self._connection, theirs = way.Pipe()
        self._process = way.Process(target=_work, args=(theirs, call))  # type: ignore[attr-defined]
        with _without_main():
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def waited(self) -> list[Any]:
        """Return what `multiprocessing.connection.wait` can wait for: something was said, or it ended."""
        said = [] if self._connection.closed else [self._connection]
        return [*said, self._process.sentinel]

    def said(self) -> Iterator[tuple[Any, bool]]:
        """Yield what it has said since the last time, and whether it waits for an answer."""
        while not self._connection.closed:
            try:
                if not self._connection.poll():
                    return
                yield self._connection.recv()
            except (EOFError, OSError):  # it has ended; half a message is none
                self._connection.close()

    def answer(self, answer: Any) -> None:
        """Answer what it has asked."""
        with contextlib.suppress(BrokenPipeError, OSError):  # it has ended meanwhile
            self._connection.send(answer)

    @property
    def ended(self) -> bool:
        return not self._process.is_alive()

    def signal(self, number: int) -> None:
        """Send it a signal; SIGKILL goes to its children as well."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGKILL:
                self._sweep()
            os.kill(self.pid, number)

    def close(self) -> int:
        """Take leave of a process that has ended, and of what it left behind; return its exit code, `-N` for signal N."""
        self._process.join()
        code = self._process.exitcode
        self._sweep()
        self._connection.close()
        self._process.close()
        return int(code)

    def _sweep(self) -> None:
        """Kill what is left of its group."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Hide the main program from multiprocessing, which would have each child run it anew; a call is importable without it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _work(connection: Connection, call: Call) -> None:
    """What the process does."""
    _end_with_parent()
    if call.output is not None:
        _print_to(call.output)
    _listen()
    os.environ.update(call.environment)
    module, _, name = call.function.partition(":")
    getattr(import_module(module), name)(Tell(connection), *call.arguments)
    sys.stdout.flush()


def _end_with_parent() -> None:
    """Be a group of its own, so that signals from the terminal are the parent's to pass on, and let nothing of it outlive the
    parent, nor this process the server."""
    parent = multiprocessing.parent_process()
    if parent is None:
        os._exit(1)
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    if _LINUX:
        # The pipe whose other end the parent holds: when that is closed the kernel kills this group, whatever it is at.
        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, -os.getpid())
        fcntl.fcntl(parent.sentinel, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, fcntl.fcntl(parent.sentinel, fcntl.F_GETFL) | os.O_ASYNC)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()
    if not parent.is_alive():
        os._exit(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored, and so it was inherited
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _listen() -> None:
    """Hear of an interruption from here on, also of one that has come since the fork: the server had it blocked."""
    if hasattr(signal, "pthread_sigmask"):
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)  # nothing has begun


def _follow(sentinel: int) -> None:
    wait([sentinel])
    if hasattr(os, "killpg"):
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _print_to(file: Path) -> None:
    """Have this process and its children print to the end of a file."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)
