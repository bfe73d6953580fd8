"""What is asked of callbacks."""

from __future__ import annotations

from collections.abc import Callable

from weft import loop
from weft.callback import EVENTS
from weft.testing.outcome import Failure
from weft.testing.subject import Subject


def listens(subject: Subject) -> None:
    """It has at least one of the six events, and goes through a whole run."""
    run = subject.run(epochs=2, steps=None)
    callback = run.callbacks[subject.component.name]
    if not any(callable(getattr(callback, event, None)) for event in EVENTS):
        raise Failure(f"it has none of {', '.join(EVENTS)}")
    loop.fit(run)


CHECKS: list[Callable[[Subject], None]] = [listens]
CAPABILITIES: list[Callable[[Subject], None]] = []
