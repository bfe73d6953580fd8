"""How a sweep is told to stop: by Ctrl-C or SIGTERM, gently at first, at once by another, and never without its last words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import FrameType

from weft import signals


class Stopping:
    """Whether a sweep was told to stop, in a `with` from before its jobs run until all has been told of them.

    Signals act as ever, but while somebody hears them; once one was heard, and the sweep is ending, no other one ends it before
    it has said how to go on.
    """

    def __init__(self) -> None:
        self.signal = 0
        """The signal that was heard first, 0 where none was."""
        self._taken = contextlib.ExitStack()

    def __enter__(self) -> Stopping:
        return self

    def __exit__(self, *_: object) -> None:
        self._taken.close()

    @contextlib.contextmanager
    def heard(self, first: Callable[[], None], another: Callable[[], None]) -> Iterator[None]:
        """Call `first` for the first signal while inside, and `another` for each that follows."""

        def hear(number: int, frame: FrameType | None) -> None:
            if self.signal:
                another()
            else:
                self.signal = number
                first()

        self._taken.enter_context(signals.taken(hear))
        try:
            yield
        finally:
            if not self.signal:
                self._taken.close()
