"""How a process came to its end, in words."""

from __future__ import annotations

import signal

from weft.sweep.slots import Ended


def describe(ended: Ended) -> str:
    """Return what to say of a process that ended before its work did: `was ended by SIGSEGV`."""
    if ended.late:
        return f"took longer than {ended.task.seconds:g} s"
    if ended.code == -signal.SIGKILL:
        return "was killed (SIGKILL), as happens when memory runs out"
    if ended.code < 0:
        return f"was ended by {signal.Signals(-ended.code).name}"
    return f"ended with exit code {ended.code}"
