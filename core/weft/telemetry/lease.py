"""A lock file that says whether a process is still there, and what it left there last: a count, and a word.

The kernel takes the lock away when the process ends, however it ends. It is a record lock: a fork doesn't inherit it. Who only
asks whether it is held takes a share of it, so that two who ask don't see each other.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_PAUSE = 0.01
_DIGITS = 20  # of the count; behind them a line's end, and the word


class Lease:
    """A lock file, held by this process until it ends or lets go.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file can't be made, or its file system has no locks.
    """

    def __init__(self, path: Path, patience: float = 0.0):
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError):
                if time.monotonic() >= deadline:
                    os.close(self._file)
                    raise BlockingIOError(f"{path} is held by another process") from None
                time.sleep(_PAUSE)
            except OSError:
                os.close(self._file)
                raise
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, b"0".ljust(_DIGITS) + b"\n", 0)  # now, so that the disk has room for it later
        except OSError:
            os.close(self._file)
            raise

    def note(self, count: int) -> None:
        """Leave a count in the file."""
        os.pwrite(self._file, str(count).ljust(_DIGITS).encode(), 0)

    def say(self, word: str) -> None:
        """Leave a word in the file. One system call, so that a signal's handler may do it."""
        os.pwrite(self._file, word.encode(), _DIGITS + 1)

    def stands(self) -> bool:
        """Whether the file is still the one that was locked."""
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let go of it."""
        os.close(self._file)


def held(path: Path) -> bool:
    """Whether another process holds it. This process's own leases can't be asked after: closing the file would end them.

    Raises:
        OSError: that can't be told.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    finally:
        os.close(file)
    return False


def count(path: Path) -> int:
    """Return the last count of who held it; 0 where there is none."""
    number = _text(path).partition("\n")[0].strip()
    return int(number) if number.isascii() and number.isdigit() else 0


def word(path: Path) -> str:
    """Return the last word of who held it, empty where there is none."""
    return _text(path).partition("\n")[2].strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
