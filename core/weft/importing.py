"""Many imports at once, without Python's garbage collector: while modules come up by the thousand it looks through all that
there is again and again, for a quarter of their time, and finds next to nothing."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Import what is imported inside without the collector."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
