"""Jobs into slots, and what becomes of them into the ledger."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from weft.folder import Folder
from weft.sweep.budget import Budget, value
from weft.sweep.ending import describe
from weft.sweep.ledger import Job, Ledger, State
from weft.sweep.options import SlotOptions
from weft.sweep.preflight import placed
from weft.sweep.process import Call
from weft.sweep.slots import Begun, Ended, Said, Slot, Slots, Task
from weft.sweep.stopping import Stopping
from weft.sweep.words import PERFORM, Progress, Work

OUTPUT = "job.log"
"""What a job prints, in its folder."""
_UNDER_WAY = (State.FAILED, State.INTERRUPTED, State.RUNNING)


class Source(Protocol):
    """Where jobs come from."""

    def take(self, slot: Slot) -> Job | None:
        """Return the next job for a slot, None where there is none now."""
        ...

    def ended(self, job: Job, seconds: float) -> None:
        """Hear how a job ended, and how long it took."""
        ...

    @property
    def prunes(self) -> bool:
        """Whether jobs ask after each epoch if they should end."""
        ...

    def is_hopeless(self, job: Job, progress: Progress) -> bool:
        """Return whether a job should end early, by how far it has come."""
        ...


class Watch(Protocol):
    """Who shows how a sweep goes."""

    def begun(self, job: Job, slot: Slot) -> None:
        """A job has begun, or goes on."""
        ...

    def said(self, job: Job, message: Progress) -> None:
        """A job tells how far it is."""
        ...

    def ended(self, job: Job, seconds: float) -> None:
        """A job has ended."""
        ...

    def stopping(self) -> None:
        """The sweep was told to stop, and waits for its jobs to."""
        ...


class Queue:
    """A source of jobs that are known: each is taken once, and again when it failed as often as it may be tried again.

    Args:
        jobs: what is to be done.
        retries: how often a job that failed is tried again at once.
        accelerators: whether there are any: then a job that leaves its device open waits for one.
        budget: of time that each value of an axis may have; `unaffordable` are the jobs that it left no time for.
    """

    prunes = False

    def __init__(self, jobs: Iterable[Job], retries: int = 0, accelerators: bool = False, budget: Budget | None = None):
        self._waiting = deque(jobs)
        self._retries = retries
        self._accelerators = accelerators
        self._tries: Counter[int] = Counter()
        self._budget = budget if budget is not None and budget.seconds is not None else None
        self._spent: dict[str | None, float] = {}

    def take(self, slot: Slot) -> Job | None:
        for job in self._waiting:
            if suits(str(job.config["device"]), slot, self._accelerators) and self._affords(job):
                self._waiting.remove(job)
                return job
        return None

    @property
    def unaffordable(self) -> list[Job]:
        return [job for job in self._waiting if not self._affords(job)]

    def _affords(self, job: Job) -> bool:
        if self._budget is None or self._budget.seconds is None:
            return True
        return self._spent.get(value(self._budget.axis, job.overrides), 0.0) < self._budget.seconds

    def is_hopeless(self, job: Job, progress: Progress) -> bool:
        return False

    def ended(self, job: Job, seconds: float) -> None:
        if self._budget is not None:
            name = value(self._budget.axis, job.overrides)
            self._spent[name] = self._spent.get(name, 0.0) + seconds
        self._tries[job.number] += 1
        if job.state is State.FAILED and self._tries[job.number] <= self._retries:
            self._waiting.append(job)


def suits(device: str, slot: Slot, accelerators: bool) -> bool:
    """Whether a job that asks for this device belongs in a slot."""
    if device == "auto":
        return (slot.device != "cpu") == accelerators
    return slot.device == device or (device == "cuda" and slot.device.startswith("cuda"))


class Scheduler:
    """Runs the jobs of a source in slots.

    Raises:
        LedgerError: the ledger can't be written; what was under way has been told to stop, and has.
    """

    def __init__(
        self,
        ledger: Ledger,
        source: Source,
        slots: Slots,
        options: SlotOptions,
        environment: Mapping[str, str],
        watch: Watch,
        stopping: Stopping,
    ):
        self._ledger = ledger
        self._source = source
        self._slots = slots
        self._options = options
        self._environment = environment
        self._watch = watch
        self._stopping = stopping
        self._running: dict[int, Job] = {}

    def run(self) -> None:
        """Run all jobs. A first Ctrl-C stops gently, a second one at once."""
        try:
            with self._stopping.heard(self._stop, self._slots.kill):
                for event in self._slots.run(self._take):
                    self._hear(event)
        except BaseException:
            self._slots.stop()  # what goes wrong here is not the jobs' fault: they keep a checkpoint
            for event in self._slots.run(lambda slot: None):
                with contextlib.suppress(Exception):
                    self._hear(event)
            raise

    def _take(self, slot: Slot) -> Task | None:
        job = self._source.take(slot)
        if job is None:
            return None
        folder = self._ledger.folder / str(job.number)
        resume = job.state in _UNDER_WAY and bool(Folder(folder).record())
        job = self._running[job.number] = self._ledger.begin(job)
        folder.mkdir(exist_ok=True)
        call = Call(
            PERFORM,
            (Work(placed(job.config, slot), job.overrides, folder, resume, self._source.prunes), slot.threads),
            folder / OUTPUT,
            self._environment,
        )
        return Task(call, job.number, self._options.timeout)

    def _hear(self, event: Begun | Said | Ended) -> None:
        job = self._running[event.task.label]
        if isinstance(event, Begun):
            self._watch.begun(job, event.slot)
        elif isinstance(event, Said):
            self._watch.said(job, event.message)
            if event.answer is not None:
                event.answer(self._source.is_hopeless(job, event.message))
        else:
            del self._running[job.number]
            state, reason = outcome(Folder(self._ledger.folder / str(job.number)), event)
            job = self._ledger.end(job, state, reason)
            self._watch.ended(job, event.seconds)
            self._source.ended(job, event.seconds)

    def _stop(self) -> None:
        self._watch.stopping()
        self._slots.stop()


def outcome(folder: Folder, ended: Ended) -> tuple[State, str]:
    """Return how a job has ended: by its own record, and by how its process did where that ended first."""
    record = folder.record()
    status = record.get("status")
    if status == "FINISHED":
        return State.FINISHED, ""
    if ended.stopped:
        return State.INTERRUPTED, ""
    if ended.late:
        reason = describe(ended)
    elif status == "KILLED":
        return State.INTERRUPTED, ""
    elif status == "FAILED" and ended.code == 0:
        return State.FAILED, str(record.get("error") or "")
    else:
        reason = f"its process {describe(ended)}"
    folder.note(status="FAILED", error=reason, ended=time.time())
    return State.FAILED, reason
