"""What the jobs of a sweep came to, and the settings that they repeat."""

from __future__ import annotations

import math
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

from weft.errors import ConfigError
from weft.folder import Folder, runs
from weft.kinds import KINDS
from weft.objective import OWN_LOSS
from weft.options import MISSING, show
from weft.sweep.statistics import SEEDS, Comparison, Estimate, Seeds, against_first, by_seeds, estimate, grouped, seeds


@dataclass(frozen=True)
class Entry:
    """One job: what was special about it, how it ended, what it reached, when (seconds since 1970). The `objective` that it is
    judged by is a score's name, with the dataset's where a sweep has several, and the loss where that is the score."""

    folder: Path
    choices: dict[str, str]
    status: str
    objective: str
    score: float | None
    scores: dict[str, float]
    error: str | None
    maximize: bool = False
    reference: Mapping[str, Any] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    started: float | None = None
    ended: float | None = None

    @property
    def place(self) -> tuple[int, str]:
        """Where the job stands in its sweep."""
        name = self.folder.name
        return (int(name), "") if name.isdigit() else (0, name)

    @property
    def is_finished(self) -> bool:
        return self.status == "FINISHED"

    @property
    def loss(self) -> float:
        """The score, turned so that less is better."""
        return 0.0 if self.score is None else -self.score if self.maximize else self.score


@dataclass(frozen=True)
class Skipped:
    """A job that was not run, and why."""

    overrides: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Group:
    """Jobs that differ in their seeds only: one setting, repeated. `comparison` is that with the best setting of the same
    objective, None for the best itself and where there are too few scores."""

    jobs: tuple[Entry, ...]
    comparison: Comparison | None = None
    is_best: bool = False

    @property
    def choices(self) -> dict[str, str]:
        """What all its jobs have in common."""
        return {key: value for key, value in self.jobs[0].choices.items() if key not in SEEDS}

    @property
    def objective(self) -> str:
        """What it is judged by; empty where none of its jobs came so far."""
        return next((job.objective for job in self.jobs if job.objective), "")

    @property
    def maximize(self) -> bool:
        """Whether more of it is better."""
        return any(job.maximize for job in self.jobs)

    @property
    def repetitions(self) -> int:
        """How many seeds it was to be run with, whatever became of that."""
        return len({seeds(job.choices) for job in self.jobs})

    @property
    def finished(self) -> list[Entry]:
        """Its jobs that came to their end."""
        return [job for job in self.jobs if job.is_finished]

    @cached_property
    def scores(self) -> dict[Seeds, float]:
        """The score of each repetition that has one."""
        return by_seeds((seeds(job.choices), job.score) for job in self.jobs)

    @cached_property
    def estimate(self) -> Estimate:
        """What its scores say of the setting."""
        return estimate(self.scores.values())

    @property
    def order(self) -> tuple[bool, str, float]:
        """What groups are sorted by: those without a score last, those of one objective together, the best first."""
        has_none = not self.scores
        mean = 0.0 if has_none else self.estimate.mean
        return (has_none, self.objective, -mean if self.maximize else mean)

    def mean(self, name: str) -> float:
        """Return the mean of another score over its finished jobs; NaN where none has it."""
        found = [job.scores[name] for job in self.finished if job.scores.get(name) is not None]
        return statistics.mean(found) if found else math.nan

    @property
    def command(self) -> str:
        """The command that repeats it: one job, or a sweep over its seeds."""
        if self.repetitions == 1:
            return command(self.jobs[0].overrides)
        shared = [text for text in self.jobs[0].overrides if key_of(text) not in SEEDS]
        values = {key: [*dict.fromkeys(job.choices[key] for job in self.jobs if key in job.choices)] for key in SEEDS}
        swept = {key: found for key, found in values.items() if found}
        if math.prod(map(len, swept.values())) != self.repetitions:  # a sweep would run what this one did not
            return "; ".join({seeds(job.choices): command(job.overrides) for job in self.jobs}.values())
        return command([*shared, *(f"{key}={','.join(found)}" for key, found in swept.items())], ["-m"])


def command(overrides: Sequence[str], options: Sequence[str] = ()) -> str:
    """Return the command that runs a job of a sweep by itself, as a shell takes it."""
    kept = [override for override in overrides if key_of(override) != "sweep.name"]
    return shlex.join(["weft", "run", *options, *kept])


def entries(sweep: Path) -> list[Entry]:
    """Return the jobs of a sweep, best first; those without a score last. Where their scores can't be held against each other,
    those of one scale stand together. A job that was done anew, of other data, is left out."""
    records = [(folder, record) for folder in runs(sweep) if "superseded" not in (record := folder.record())]
    judged = _judged([record for _, record in records])
    found = [_entry(folder, record, objective) for (folder, record), objective in zip(records, judged, strict=True)]
    return sorted(_completed(found), key=lambda entry: (entry.score is None, entry.objective, entry.loss))


def _judged(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what each job is judged by: its objective, and what that is of where it isn't the same in all of them. Scores on
    several datasets are not of one scale, and values of several losses aren't."""
    made_of: dict[str, set[str]] = {}
    for record in records:
        if record.get("dataset") and record.get("objective"):
            made_of.setdefault(str(record["dataset"]), set()).add(str(record.get("source") or ""))
    losses = [record.get("loss") or {} for record in records]
    known = [loss for loss in losses if loss]
    varied = [key for key in dict.fromkeys(chain(*known)) if len({loss.get(key) for loss in known}) > 1]
    found = []
    for record, loss in zip(records, losses, strict=True):
        objective = str(record.get("objective") or "")
        dataset = str(record.get("dataset") or "") if objective else ""
        several = len(made_of.get(dataset, ())) > 1
        of = f" of {dataset}" if dataset and (several or len(made_of) > 1) else ""
        of += f" ({record.get('source')})" if several else ""
        options = [f" {key}={loss[key]}" for key in varied if key != "loss" and key in loss]
        by = f" by {loss['loss']}{''.join(options)}" if varied and loss and objective.endswith(OWN_LOSS) else ""
        found.append(f"{objective}{of}{by}")
    return found


def _entry(folder: Folder, record: dict[str, Any], objective: str) -> Entry:
    given = record.get("overrides")
    overrides = [str(text) for text in given] if isinstance(given, list) else []
    score = record.get("score")
    reference = record.get("reference")
    scores = record.get("scores")
    return Entry(
        folder=folder.path,
        choices={key: text.partition("=")[2] for text in overrides if (key := key_of(text)) != "sweep.name"},
        status=str(record.get("status", "?")),
        objective=objective,
        score=score if isinstance(score, float) and not math.isnan(score) and record.get("status") == "FINISHED" else None,
        scores=scores if isinstance(scores, dict) else {},
        error=str(record["error"]) if record.get("error") else None,
        maximize=bool(record.get("maximize")),
        reference=reference if isinstance(reference, dict) else {},
        overrides=tuple(overrides),
        started=record.get("started"),
        ended=record.get("ended"),
    )


def _completed(found: Sequence[Entry]) -> list[Entry]:
    """Return the jobs, each with a value for what only others were told, as in a sweep that has grown: `model=mlp` and nothing
    at all may be the same setting. Their configs say what they had."""
    given = [entry.choices for entry in found]
    partly = [key for key in dict.fromkeys(chain(*given)) if any(key not in choices for choices in given)]
    return [replace(entry, choices=entry.choices | _had(entry.folder, partly)) for entry in found] if partly else [*found]


def _had(folder: Path, keys: Sequence[str]) -> dict[str, str]:
    """Return what a job's config says of these keys, as far as it does."""
    try:
        tree = Folder(folder).read_config()
    except ConfigError:  # it never began
        return {}
    had = {}
    for key in keys:
        value: Any = tree
        for name in key.split("."):
            value = value.get(name, MISSING) if isinstance(value, Mapping) else MISSING
        if isinstance(value, Mapping) and key in KINDS:
            value = "+".join(value) or "none" if KINDS[key].several else value.get("name")
        if value != MISSING:
            had[key] = show(value)
    return had


def key_of(override: str) -> str:
    """Return what an override gives a value."""
    return override.lstrip("+").partition("=")[0]


def groups(found: Sequence[Entry]) -> list[Group]:
    """Return the settings of a sweep, best first, each held against the best one of its objective."""
    jobs = sorted(found, key=lambda entry: entry.place)
    made = [Group(tuple(jobs[place] for place in places)) for places in grouped(entry.choices for entry in jobs)]
    made.sort(key=lambda group: group.order)
    compared: list[Group] = []
    for objective in dict.fromkeys(group.objective for group in made if group.scores):
        same = [group for group in made if group.scores and group.objective == objective]
        held = against_first([group.scores for group in same])
        compared += [Group(group.jobs, test, group is same[0]) for group, test in zip(same, held, strict=True)]
    return compared + [group for group in made if not group.scores]


def best_so_far(found: Sequence[Entry], objective: str) -> list[tuple[Entry, float]]:
    """Return the jobs that have a score of an objective, in the order of their ends, each with the best score until then."""
    scored = (entry for entry in found if entry.score is not None and entry.objective == objective)
    ended = sorted(scored, key=lambda entry: entry.ended or 0.0)
    least = accumulate((entry.loss for entry in ended), min)
    return [(entry, -loss if entry.maximize else loss) for entry, loss in zip(ended, least, strict=True)]


def differing(found: Sequence[Entry]) -> list[str]:
    """Return the keys whose values aren't the same in all jobs."""
    keys = dict.fromkeys(key for entry in found for key in entry.choices)
    return [key for key in keys if len({entry.choices.get(key) for entry in found}) > 1]
