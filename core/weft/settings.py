"""What is no plugin's: the top of the config, as typed as a component's options. `conf/config.yaml` holds the defaults."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, get_type_hints

from weft.options import Option
from weft.parameters import Range
from weft.typed import from_annotation

_Count = Range(1, math.inf)
_Share = Range(1e-6, 1)


@dataclass(frozen=True)
class Observe:
    """What is recorded on the way."""

    every: Annotated[int, _Count, "steps from one record of loss, gradients, weights and updates to the next"] = 50
    gradients: Annotated[bool, "record statistics of gradients, weights and updates"] = True
    series: Annotated[int, _Count, "series a statistic at most; above that, parameters are taken together by module"] = 64
    histograms: Annotated[int | None, _Count, "steps from one histogram of them to the next, at first; null makes none"] = 50
    budget: Annotated[float | None, _Share, "share of training time for looking at gradients; null: as often as said"] = 0.01
    system: Annotated[
        float | None,
        Range(0.1, 86_400),
        "seconds from one record of CPU, memory, disk, network and GPU to the next; null is none",
    ] = 10.0


@dataclass(frozen=True)
class Tracking:
    """Where it is recorded."""

    uri: Annotated[str | None, "MLflow store or server; null is sqlite:///RUNS/mlflow.db"] = None
    experiment: Annotated[str, "MLflow experiment"] = "weft"
    run_id: Annotated[str | None, "MLflow run to go on in; null makes one"] = None
    register: Annotated[str | None, "registered model that the run's model becomes a version of"] = None


@dataclass(frozen=True)
class Telemetry:
    """How it gets there."""

    strict: Annotated[bool, "end the run when the disk doesn't take what it reports, instead of keeping that in memory"] = False
    wait: Annotated[float, Range(0, math.inf), "seconds that a run's end waits for all of it to be in the store"] = 2.0


@dataclass(frozen=True)
class Sweep:
    """What the jobs of a multirun have in common."""

    name: Annotated[str | None, "tag weft.sweep of every job, and its folder; null is the date and time"] = None
    strict: Annotated[bool, "run nothing when one of the jobs can't be, instead of leaving it out"] = False
    patience: Annotated[float, Range(0.1, 86_400), "seconds that trying a job beforehand may take; then it runs untried"] = 60.0
    compare: Annotated[str | None, "what is compared, such as optimizer: each of its values gets the same budget"] = None
    budget: Annotated[
        int | str | None, Range(1, math.inf), "of each value that is compared: jobs, as 20, or time, as 600s, 30m, 2h"
    ] = None


@dataclass(frozen=True)
class Reference:
    """What the run is held against when it has ended."""

    score: Annotated[str | None, "of the run that is held against it, such as test/accuracy; null: none is"] = None
    at_least: Annotated[float | None, Range(-math.inf, math.inf), "what the score should be, or above it"] = None
    at_most: Annotated[float | None, Range(-math.inf, math.inf), "what the score should be, or below it"] = None
    source: Annotated[str | None, "where that number is from"] = None
    where: Annotated[
        list[str], "it holds where these are so, as in ['dataset=digits','split_seed=0']; elsewhere it is left out"
    ] = field(default_factory=list)


@dataclass(frozen=True)
class Settings:
    """The top of the config."""

    seed: Annotated[int, Range(0, 2**32 - 1), "of initial weights, order of samples, dropout"] = 0
    split_seed: Annotated[int, Range(0, 2**32 - 1), "of the split into train, valid and test"] = 0
    epochs: Annotated[int, _Count, "passes over the training data"] = 20
    steps: Annotated[int | None, _Count, "updates of the weights; when given, it ends the run instead of epochs"] = None
    batch_size: Annotated[int, _Count, "samples an update"] = 64
    accumulate: Annotated[int, _Count, "pieces that a batch is split into, one after the other, to save memory"] = 1
    device: Annotated[str, "auto, cpu, cuda, cuda:N or mps"] = "auto"
    precision: Annotated[Literal["fp64", "fp32", "bf16", "fp16"], "of the arithmetic; bf16 and fp16 are mixed"] = "fp32"
    compile: Annotated[bool, "torch.compile the model"] = False
    deterministic: Annotated[bool, "only operations that give the same bits every time"] = False
    threads: Annotated[int | None, Range(1, 4096), "CPU threads; null is one for a small model, else all"] = None
    objective: Annotated[str | None, "such as valid/loss or max:valid/accuracy; null is the task's own"] = None
    class_weights: Annotated[Literal["balanced"] | list[float] | None, Range(0, 1e9), "weight of each class"] = None
    parameter_groups: Annotated[list[dict[str, str | float | bool]], "[{pattern: '*.bias', OPTION: VALUE}, …]"] = field(
        default_factory=list
    )
    init_from: Annotated[str | None, "run (id or folder) whose weights to start from"] = None
    name: Annotated[str | None, "of the run; null is its model, optimizer, regularizers and dataset"] = None
    tags: Annotated[dict[str, str] | None, "MLflow tags, {KEY: VALUE, …}"] = None
    runs: Annotated[str, "folder that all output goes to"] = "runs"
    test_weights: Annotated[Literal["best", "last"], "weights that a run is tested with: of its best epoch, or its last"] = (
        "best"
    )
    observe: Observe = field(default_factory=Observe)
    tracking: Tracking = field(default_factory=Tracking)
    telemetry: Telemetry = field(default_factory=Telemetry)
    sweep: Sweep = field(default_factory=Sweep)
    reference: Reference = field(default_factory=Reference)

    @property
    def store(self) -> str:
        """Where runs are recorded: the tracking URI, or the database in the output folder."""
        return self.tracking.uri or f"sqlite:///{self.runs}/mlflow.db"


def options(group: Any = Settings) -> tuple[Option, ...]:
    """Return the options of `Settings`, or of one of its groups."""
    return _options(group)


@functools.cache
def _options(group: Any) -> tuple[Option, ...]:
    hints = get_type_hints(group, include_extras=True)
    default = group()
    return tuple(
        Option(item.name, from_annotation(hints[item.name]), getattr(default, item.name), _help(hints[item.name]))
        for item in fields(group)
        if not is_dataclass(hints[item.name])
    )


@functools.cache
def groups() -> Mapping[str, Any]:
    """Return the groups inside `Settings`, by name: observe, tracking, telemetry, sweep, reference."""
    return {name: hint for name, hint in get_type_hints(Settings, include_extras=True).items() if is_dataclass(hint)}


def tree(settings: Any) -> dict[str, Any]:
    """Return settings as nested plain values."""
    return {
        item.name: tree(value) if is_dataclass(value := getattr(settings, item.name)) else _plain(value)
        for item in fields(settings)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _help(annotation: Any) -> str:
    return next(mark for mark in annotation.__metadata__ if isinstance(mark, str))
