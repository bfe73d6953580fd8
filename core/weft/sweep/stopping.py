"""How a sweep is told to stop: by Ctrl-C or SIGTERM, gently at first, at once by another, and never without its last words."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class Stopping:
    """Whether a sweep was told to stop, in a `with` from before its jobs run until all has been told of them.

    Signals act as ever, but while somebody hears them; once one was heard, and the sweep is ending, no other one ends it before
    it has said how to go on.
    """

    def __init__(self) -> None:
        self.signal = 0
        """The signal that was heard first, 0 where none was."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopping:
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @contextlib.contextmanager
    def heard(self, first: Callable[[], None], another: Callable[[], None]) -> Iterator[None]:
        """Call `first` for the first signal while inside, and `another` for each that follows."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def hear(number: int, frame: FrameType | None) -> None:
            if self.signal:
                another()
            else:
                self.signal = number
                first()

        self._before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            if not self.signal:
                self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
