"""Slots: as many calls at once as the machine has room for, each in a process of its own, a new one when one ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from typing import Any

from weft.errors import ConfigError
from weft.sweep.process import Call, Child

_GRACE = 10.0
"""Seconds from telling a call to end to killing it."""


@dataclass(frozen=True)
class Slot:
    """Room for one call: the device it computes on, and its share of the CPU's threads."""

    device: str
    threads: int


def layout(devices: Sequence[str], slots: int | None = None, share: float = 1.0, threads: int | None = None) -> list[Slot]:
    """Return a machine's slots: on the CPU one for each core, on each accelerator as many as have room on it.

    Args:
        devices: what there is to compute on, such as `["cpu"]` or `["cuda:0", "cuda:1"]`.
        slots: how many there are on the CPU, or on all accelerators together.
        share: of an accelerator that a job takes: 0.5 puts two on each.
        threads: of each slot; by default the cores are shared out.

    Raises:
        ConfigError: more slots than the accelerators have room for.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    accelerators = [device for device in devices if device != "cpu"]
    if accelerators:
        places = [device for _ in range(max(1, int(1 / share + 1e-9))) for device in accelerators]
        if slots is not None and slots > len(places):
            raise ConfigError(
                f"hydra.launcher.slots: {slots}, and there is room for {len(places)} on {', '.join(accelerators)}; a smaller "
                "hydra.launcher.share puts more jobs on each"
            )
        chosen = places[:slots]
    else:
        chosen = ["cpu"] * (slots or cores)
    return [Slot(device, threads or max(1, cores // len(chosen))) for device in chosen]


@dataclass(eq=False)
class Task:
    """A call that is to be made in a slot. `seconds` is how long it may take; `label` is whatever the caller knows it by."""

    call: Call
    label: Any = None
    seconds: float | None = None


@dataclass(frozen=True)
class Said:
    """A call under way has said something. Where it has asked, it waits until it is answered."""

    task: Task
    message: Any
    answer: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class Begun:
    """A call has begun."""

    task: Task
    slot: Slot


@dataclass(frozen=True)
class Ended:
    """A call has ended: with `code`, which is `-N` when signal N ended it. `late` says that it was told to end because it took
    too long, `stopped` that it was told by `Slots.stop`."""

    task: Task
    slot: Slot
    code: int
    seconds: float
    late: bool = False
    stopped: bool = False


@dataclass(eq=False)
class _Busy:
    task: Task
    child: Child
    slot: Slot
    begun: float = field(default_factory=time.monotonic)
    told: float | None = None
    late: bool = False


class Slots:
    """Runs calls. What is still under way at the end of its `with` is killed.

    Args:
        slots: what `layout` gave.
        way: what `process.context` gave.
        grace: seconds from telling a call to end to killing it.
    """

    def __init__(self, slots: Sequence[Slot], way: BaseContext, grace: float = _GRACE):
        self._free = [*slots]
        self._busy: list[_Busy] = []
        self._way = way
        self._grace = grace
        self._stopped = False

    def __enter__(self) -> Slots:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def run(self, take: Callable[[Slot], Task | None]) -> Iterator[Begun | Said | Ended]:
        """Call what `take` gives for a slot, whenever one is free; yield what happens, until all has ended and `take` has
        nothing for any slot. It is asked again after each event that was yielded."""
        while True:
            yield from self._fill(take)
            if not self._busy:
                return
            yield from self._events()

    def _fill(self, take: Callable[[Slot], Task | None]) -> Iterator[Begun]:
        for slot in [*self._free]:
            task = None if self._stopped else take(slot)
            if task is not None:
                self._free.remove(slot)
                busy = _Busy(task, Child(task.call, self._way), slot)
                self._busy.append(busy)
                if self._stopped:  # by a signal that came meanwhile
                    self._tell(busy)
                yield Begun(task, slot)

    def _events(self) -> Iterator[Said | Ended]:
        wait([waited for busy in self._busy for waited in busy.child.waited()], self._patience())
        for busy in [*self._busy]:
            ended = busy.child.ended  # asked first: what was said before it ended is there by then
            for message, asked in busy.child.said():
                yield Said(busy.task, message, busy.child.answer if asked else None)
            if ended:
                yield self._close(busy)
            else:
                self._see_to_end(busy)

    def _close(self, busy: _Busy) -> Ended:
        self._busy.remove(busy)
        self._free.append(busy.slot)
        code = busy.child.close()
        seconds = time.monotonic() - busy.begun
        return Ended(busy.task, busy.slot, code, seconds, busy.late, self._stopped and busy.told is not None)

    def _patience(self) -> float | None:
        """Return how long nothing needs to be looked after."""
        deadlines = [
            busy.told + self._grace if busy.told is not None else busy.begun + (busy.task.seconds or 0.0)
            for busy in self._busy
            if busy.told is not None or busy.task.seconds is not None
        ]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _see_to_end(self, busy: _Busy) -> None:
        """Tell a call to end that takes too long; kill one that doesn't listen."""
        now = time.monotonic()
        if busy.told is not None:
            if now >= busy.told + self._grace:
                busy.told = now  # if the kernel doesn't end it either, look again after as long
                busy.child.signal(signal.SIGKILL)
        elif busy.task.seconds is not None and now >= busy.begun + busy.task.seconds:
            busy.late = True
            self._tell(busy)

    def _tell(self, busy: _Busy) -> None:
        busy.told = time.monotonic()
        busy.child.signal(signal.SIGINT)

    def stop(self) -> None:
        """Begin nothing more, and tell what is under way to end. May be called by a signal's handler."""
        self._stopped = True
        for busy in [*self._busy]:
            if busy.told is None:
                self._tell(busy)

    def kill(self) -> None:
        """Begin nothing more, and end what is under way now. May be called by a signal's handler."""
        self._stopped = True
        for busy in [*self._busy]:
            busy.told = busy.told or time.monotonic()
            busy.child.signal(signal.SIGKILL)
