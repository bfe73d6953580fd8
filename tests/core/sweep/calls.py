"""What processes are told to do in the tests of slots."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from weft.sweep.process import Tell


def say(tell: Tell, *words: Any) -> None:
    for word in words:
        tell(word)


def raise_error(tell: Tell) -> None:
    raise ValueError("told to")


def leave(tell: Tell, code: int) -> None:
    sys.exit(code)


def leave_at_once(tell: Tell, code: int) -> None:
    os._exit(code)


def end_by(tell: Tell, number: int) -> None:
    tell("before")
    os.kill(os.getpid(), number)


def read_address_zero(tell: Tell) -> None:
    ctypes.string_at(0)


def hang(tell: Tell) -> None:
    """Take no notice of anything, as a call into C does that never comes back."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tell("hanging")
    while True:
        time.sleep(60)


def wait_for_interrupt(tell: Tell) -> None:
    try:
        tell("waiting")
        while True:
            time.sleep(60)
    except KeyboardInterrupt:
        tell("interrupted")


def print_much(tell: Tell, megabytes: int) -> None:
    line = "x" * 1023 + "\n"
    for _ in range(megabytes * 1024):
        sys.stdout.write(line)


def print_through_child(tell: Tell) -> None:
    print("itself")
    subprocess.run([sys.executable, "-c", "import sys; print('a child'); print('an error', file=sys.stderr)"], check=True)


def start_child(tell: Tell, then: str = "end") -> None:
    """Leave a process behind."""
    child = subprocess.Popen(["sleep", "600"])
    tell((os.getpid(), child.pid))
    if then == "hang":
        hang(lambda word: None)


def wait_for(tell: Tell, file: str) -> None:
    """End when the file is there."""
    tell("waiting")
    while not Path(file).exists():
        time.sleep(0.005)


def tell_threads(tell: Tell) -> None:
    tell(os.getpgid(0) == os.getpid())
