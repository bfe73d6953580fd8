"""Jobs that searches propose, one by one as slots get free: each trial of a study is a job of the sweep."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from weft.configuration import Configuration
from weft.folder import Folder
from weft.sharing import Composed
from weft.sweep import identity
from weft.sweep.ledger import Job, Ledger, State
from weft.sweep.preflight import Candidate, Verdict, facts_of
from weft.sweep.scheduling import suits
from weft.sweep.search import Proposal, Search
from weft.sweep.slots import Slot
from weft.sweep.space import Interval, Space, Values
from weft.sweep.words import Progress

_HELD = 16
"""Jobs that wait for a slot of their kind, at most, while others get none."""
_REPEATS = 50
"""Proposals of one search in a row that were made before: then its space has nothing new."""
_TRIED = 64
"""Combinations of parts that are tried beforehand, at most."""


def representatives(space: Space) -> Iterator[tuple[str, ...]]:
    """Yield the overrides of one job for each combination of parts that a space has."""
    groups = [item for item in space.dimensions if not item.group and isinstance(item.values, Values)]
    others = [item for item in space.dimensions if item not in groups]
    for chosen in itertools.islice(itertools.product(*(item.values.texts for item in groups)), _TRIED):  # type: ignore[union-attr]
        point: dict[str, object] = dict(zip((item.key for item in groups), chosen, strict=True))
        for item in others:
            if item.is_in(point):
                point[item.key] = item.values.low if isinstance(item.values, Interval) else item.values.texts[0]
        yield space.overrides(point)


class Trials:
    """A source of jobs that searches propose, each in its turn: the one that has had the least is asked next.

    Args:
        searches: by name: one, or one for each value that is to have the same budget.
        ledger: of the sweep.
        composed: makes a job of overrides.
        verdicts: what is known of jobs that were tried beforehand.
        accelerators: whether there are any.
        seconds: that each search may spend on jobs; None: as long as its number of trials takes.
    """

    def __init__(
        self,
        searches: Mapping[str, Search],
        ledger: Ledger,
        composed: Callable[[Sequence[str]], Composed],
        verdicts: Iterable[Verdict],
        accelerators: bool = False,
        seconds: float | None = None,
    ):
        self._searches = searches
        self._ledger = ledger
        self._composed = composed
        self._verdicts = {verdict.likeness: verdict for verdict in verdicts}
        self._digests = {
            _data(verdict.candidate.configuration): verdict.facts.digest for verdict in self._verdicts.values() if verdict.facts
        }
        self._accelerators = accelerators
        self._seconds = seconds
        self._titles: dict[int, str] = {}
        jobs = ledger.jobs()
        self._numbers = itertools.count(max((job.number for job in jobs), default=-1) + 1)
        self._done = {job.identity: job for job in jobs if job.state is State.FINISHED}
        self._had = dict.fromkeys(searches, 0)
        self._spent = dict.fromkeys(searches, 0.0)
        self._repeats = dict.fromkeys(searches, 0)
        for job in jobs:
            self._count(job, (job.ended or 0.0) - (job.started or 0.0) if job.ended else 0.0)
        self._held = self._left(jobs)

    @property
    def prunes(self) -> bool:
        return any(search.options.pruner != "none" for search in self._searches.values())

    @property
    def titles(self) -> Mapping[int, str]:
        """What is special about each job, by its number: filled as they are proposed."""
        return self._titles

    def _left(self, jobs: Sequence[Job]) -> list[Job]:
        """Return what an earlier process has left, and tell the studies what it has not."""
        by_trial = {(job.facts.get("search"), job.facts.get("trial")): job for job in jobs}
        for name, search in self._searches.items():
            for proposal in search.interrupted():
                job = by_trial.get((name, proposal.number))
                if job is None:
                    search.again(proposal.number)  # it was proposed, and not yet written down
                elif job.state is State.SKIPPED or job.state is State.FINISHED:
                    self._tell(job)
        return [job for job in jobs if job.state not in (State.FINISHED, State.SKIPPED, State.SUPERSEDED)]

    def take(self, slot: Slot) -> Job | None:
        while True:
            held = next((job for job in self._held if suits(str(job.config["device"]), slot, self._accelerators)), None)
            if held is not None:
                self._held.remove(held)
                return held
            if len(self._held) >= _HELD or (proposed := self._proposed()) is None:
                return None
            self._held.append(proposed)

    def _proposed(self) -> Job | None:
        """Return the next job that is new and can be, in the ledger by then."""
        while (turn := self._turn()) is not None:
            name, proposal = turn
            job = self._job(name, proposal)
            self._repeats[name] = self._repeats[name] + 1 if "same" in job.facts else 0
            self._ledger.plan([job])
            self._count(job, 0.0)
            if job.state is State.PLANNED:
                return job
            self._tell(job)
        return None

    def _turn(self) -> tuple[str, Proposal] | None:
        order = sorted(self._searches, key=lambda name: (self._had[name], self._spent[name]))
        for name in order:
            if self._repeats[name] < _REPEATS and (self._seconds is None or self._spent[name] < self._seconds):
                proposal = self._searches[name].ask()
                if proposal is not None:
                    return name, proposal
        return None

    def _job(self, name: str, proposal: Proposal) -> Job:
        trial = {"search": name, "trial": proposal.number}
        made = self._composed(proposal.overrides)
        number = next(self._numbers)
        self._titles[number] = " ".join(f"{key}={_short(value)}" for key, value in proposal.params.items())
        if made.configuration is None:
            return Job(number, "", proposal.overrides, {}, State.SKIPPED, str(made.error), trial)
        wanted = made.configuration
        verdict = self._verdicts.get(identity.likeness(wanted), Verdict(Candidate(made.overrides, wanted), ""))
        job = Job(
            number,
            identity.identity(wanted, self._digests.get(_data(wanted), "")),
            proposal.overrides,
            wanted.tree(),
            facts={**facts_of(verdict), **trial},
        )
        if verdict.reason:
            return replace(job, state=State.SKIPPED, reason=verdict.reason)
        if job.identity in self._done:  # a space without fractions runs out of new points
            same = self._done[job.identity].number
            return replace(job, state=State.SKIPPED, reason=f"the same as job {same}", facts={**job.facts, "same": same})
        return job

    def is_hopeless(self, job: Job, progress: Progress) -> bool:
        search = self._searches.get(str(job.facts.get("search")))
        if search is None or progress.score is None or not math.isfinite(progress.score):
            return False
        return search.report(int(job.facts["trial"]), progress.epoch, progress.score)

    def ended(self, job: Job, seconds: float) -> None:
        self._spent[str(job.facts.get("search"))] = self._spent.get(str(job.facts.get("search")), 0.0) + seconds
        if job.state is State.FINISHED:
            self._done[job.identity] = job
        if job.state is not State.INTERRUPTED:
            self._tell(job)

    def _tell(self, job: Job) -> None:
        """Tell a job's study how it went."""
        search = self._searches.get(str(job.facts.get("search")))
        if search is None:
            return
        record = Folder(self._ledger.folder / str(job.facts.get("same", job.number))).record()
        is_done = job.state is State.FINISHED or "same" in job.facts
        score = record.get("score") if is_done else None
        status = "PRUNED" if is_done and record.get("pruned") else "FINISHED" if is_done else "FAILED"
        search.tell(int(job.facts["trial"]), score, status)

    def _count(self, job: Job, seconds: float) -> None:
        name = str(job.facts.get("search"))
        if name in self._had:
            self._had[name] += 1
            self._spent[name] += seconds


def _data(wanted: Configuration) -> str:
    """Return the same text for jobs of the same data."""
    return identity.digest([wanted.one("dataset").tree(), wanted.settings.split_seed])


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
