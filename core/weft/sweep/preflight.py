"""Every job checked before any starts: tried for real, those that are alike at once, and held against what was done before."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from weft import configuration
from weft.catalog import Catalog
from weft.configuration import Configuration
from weft.sweep import identity, words
from weft.sweep.ending import describe
from weft.sweep.ledger import Job, State
from weft.sweep.process import Call
from weft.sweep.slots import Ended, Said, Slot, Slots, Task
from weft.sweep.words import Facts, Refused


@dataclass(frozen=True)
class Candidate:
    """A job that is asked for: its overrides, and what they came to."""

    overrides: tuple[str, ...]
    configuration: Configuration


@dataclass(frozen=True)
class Verdict:
    """What trying has told of a job: `facts` of one that is sound, `reason` of one that can't be, `doubt` of one that could
    not be tried to the end and is to run all the same. Jobs of one `likeness` share a verdict."""

    candidate: Candidate
    likeness: str
    facts: Facts | None = None
    reason: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class Planned:
    """A job of the plan, and how it comes to be there: `job.state` says what is to be done with it."""

    job: Job
    verdict: Verdict

    @property
    def is_due(self) -> bool:
        return self.job.state not in (State.FINISHED, State.SKIPPED, State.SUPERSEDED)


@dataclass(frozen=True)
class Plan:
    """All jobs of a sweep as they are asked for now; the old ones they supersede; what changed since jobs were done."""

    jobs: tuple[Planned, ...]
    superseded: tuple[Job, ...] = ()
    changes: tuple[str, ...] = ()

    def of(self, *states: State) -> list[Planned]:
        """Return the jobs in these states."""
        return [planned for planned in self.jobs if planned.job.state in states]

    @property
    def due(self) -> list[Planned]:
        """The jobs that are to run, or to run on."""
        return [planned for planned in self.jobs if planned.is_due]


@dataclass(eq=False)
class _Trial:
    candidate: Candidate
    outcome: Facts | Refused | None = None
    doubt: str = ""


def check(
    candidates: Sequence[Candidate],
    slots: Slots,
    seconds: float,
    environment: Mapping[str, str],
    told: Callable[[int, int], None] = lambda done, of: None,
) -> list[Verdict]:
    """Try the jobs, those that are alike once, and return a verdict for each.

    Args:
        candidates: the jobs.
        slots: where they are tried.
        seconds: that a try may take; what takes longer is in doubt.
        environment: variables that the processes get.
        told: is told how many tries are done, and of how many.
    """
    trials: dict[str, _Trial] = {}
    likenesses = [identity.likeness(candidate.configuration) for candidate in candidates]
    for likeness, candidate in zip(likenesses, candidates, strict=True):
        trials.setdefault(likeness, _Trial(candidate))
    waiting = iter([*trials.values()])

    def take(slot: Slot) -> Task | None:
        return next((Task(_call(trial.candidate, slot, environment), trial, seconds) for trial in waiting), None)

    for done in _ended(slots, take):
        told(done, len(trials))
    return [_verdict(candidate, likeness, trials[likeness]) for likeness, candidate in zip(likenesses, candidates, strict=True)]


def _ended(slots: Slots, take: Callable[[Slot], Task | None]) -> Iterable[int]:
    """Run the trials, and yield how many have ended whenever one has."""
    count = itertools.count(1)
    for event in slots.run(take):
        if isinstance(event, Said):
            event.task.label.outcome = event.message
        elif isinstance(event, Ended):
            trial = event.task.label
            if trial.outcome is None and event.late:
                trial.doubt = f"a step took longer than {event.task.seconds:g} s to try"
            elif trial.outcome is None:
                trial.outcome = Refused(f"its process {describe(event)} when it was tried")
            yield next(count)


def _call(candidate: Candidate, slot: Slot, environment: Mapping[str, str]) -> Call:
    tree = placed(candidate.configuration.tree(), slot)
    return Call(words.PROBE, (tree, slot.threads), environment=environment)


def placed(tree: Mapping[str, Any], slot: Slot) -> dict[str, Any]:
    """Return a configuration that computes on a slot's device, where it left that open."""
    is_open = tree["device"] == "auto" or (tree["device"] == "cuda" and slot.device.startswith("cuda"))
    return {**tree, "device": slot.device} if is_open else dict(tree)


def _verdict(candidate: Candidate, likeness: str, trial: _Trial) -> Verdict:
    if isinstance(trial.outcome, Refused):
        return Verdict(candidate, likeness, reason=trial.outcome.reason)
    return Verdict(candidate, likeness, trial.outcome, doubt=trial.doubt)


def plan(verdicts: Iterable[Verdict], known: Sequence[Job]) -> Plan:
    """Hold the jobs that are asked for against those that a ledger knows.

    One that is finished stays so; one that failed, was interrupted or never began is due; one that is not known gets the next
    number. A job of other data or other plugins than were there when it was done is another job, and supersedes the old one.
    """
    current = [job for job in known if job.state is not State.SUPERSEDED]
    by_identity = {job.identity: job for job in current}
    by_config = {identity.made_of(job.config): job for job in current}
    number = itertools.count(max((job.number for job in known), default=-1) + 1)
    jobs: dict[str, Planned] = {}
    superseded, changes = [], dict[str, None]()
    for verdict in verdicts:
        made_of = identity.made_of(verdict.candidate.configuration.tree())
        before = by_config.get(made_of)
        name = _name(verdict, before)
        if name in jobs:  # asked for twice
            continue
        job = by_identity.get(name)
        if job is None:
            job = Job(next(number), name, verdict.candidate.overrides, verdict.candidate.configuration.tree())
            if before is not None:
                if before.state is not State.SKIPPED:
                    changes[_superseding(before, verdict, job)] = None
                superseded.append(replace(before, state=State.SUPERSEDED, reason=f"by job {job.number}"))
        elif job.state is State.FINISHED:
            changes.update(dict.fromkeys(_differences(job, verdict)))
        jobs[name] = Planned(_due(job, verdict), verdict)
    return Plan(tuple(jobs.values()), tuple(superseded), tuple(changes))


def _name(verdict: Verdict, before: Job | None) -> str:
    """Return a job's identity. Where its data could not be looked at it is taken for what it was."""
    if verdict.facts is None and before is not None:
        return before.identity
    return identity.identity(verdict.candidate.configuration, verdict.facts.digest if verdict.facts else "")


def _due(job: Job, verdict: Verdict) -> Job:
    if job.state is State.FINISHED:
        return job
    if verdict.reason:
        return replace(job, state=State.SKIPPED, reason=verdict.reason)
    state = State.PLANNED if job.state is State.SKIPPED else job.state
    return replace(job, state=state, facts=facts_of(verdict) or job.facts)


def facts_of(verdict: Verdict) -> dict[str, Any]:
    """Return what a ledger keeps of a verdict."""
    if verdict.facts is None:
        return {}
    return {**asdict(verdict.facts), "plugins": identity.plugins(verdict.candidate.configuration)}


def _superseding(before: Job, verdict: Verdict, job: Job) -> str:
    """Return in words why a job that was done is to be done again."""
    now = facts_of(verdict)
    what = []
    if now and before.facts.get("digest") not in (None, now["digest"]):
        what.append(f"its data has changed (digest {before.facts['digest'][:8]}, now {now['digest'][:8]})")
    old = before.facts.get("plugins")
    new = identity.plugins(verdict.candidate.configuration)
    if old is not None and old != new:
        what.append(f"its plugins have changed ({', '.join(old)}, now {', '.join(new)})")
    return (
        f"job {before.number}: {' and '.join(what) or 'what it is made of has changed'}: it is done anew, as job {job.number}"
    )


def _differences(job: Job, verdict: Verdict) -> list[str]:
    """Return in words what is other than it was when a job was done, and makes it no other job."""
    now = facts_of(verdict)
    if not now or not job.facts:
        return []
    said = [
        f"{name} was {job.facts[name]} when jobs of this sweep were done, and is {now[name]}"
        for name in ("torch", "threads", "device")
        if job.facts.get(name) not in (None, now[name])
    ]
    before = job.facts.get("code", {})
    changed = [file for file, digest in now["code"].items() if before.get(file) not in (None, digest)]
    return said + [
        f"the code of {file} has changed since jobs of this sweep were done; what is done stays done: for all of it anew "
        "choose another sweep.name"
        for file in changed
    ]


def candidates(jobs: Iterable[Job], catalog: Catalog) -> list[Candidate]:
    """Return the jobs of a ledger as they would be asked for.

    Raises:
        ConfigError, PluginError: one can't be any more: a plugin is gone, or has lost an option.
    """
    return [
        Candidate(job.overrides, configuration.read(job.config, catalog)) for job in jobs if job.state is not State.SUPERSEDED
    ]
