"""Which checks a component of each kind is put to, and what one of them comes to."""

from __future__ import annotations

import contextlib
import statistics
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from weft import __version__
from weft.catalog import Catalog, Component
from weft.errors import UserError
from weft.kinds import KINDS
from weft.state import Run
from weft.testing.checks import (
    activations,
    callbacks,
    datasets,
    every,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    schedulers,
    tasks,
)
from weft.testing.outcome import Cannot, Card, Failure, Outcome, Skip, Verdict
from weft.testing.reference import with_reference
from weft.testing.subject import Subject, train

_OWN: dict[str, ModuleType] = {
    "model": models,
    "loss": losses,
    "optimizer": optimizers,
    "regularizer": regularizers,
    "dataset": datasets,
    "task": tasks,
    "scheduler": schedulers,
    "metric": metrics,
    "activation": activations,
    "callback": callbacks,
}
assert _OWN.keys() == KINDS.keys()


def meant_for_it(subject: Subject) -> None:
    """What it says that it can't is a check that there is, with a reason."""
    known = names(subject.kind)
    for name, reason in subject.exceptions.items():
        if name not in known:
            raise Failure(f"cannot = {{{name!r}: …}}: there is no such check; there are {', '.join(known)}")
        if not str(reason).strip():
            raise Failure(f"cannot = {{{name!r}: …}}: say why")


_FIRST = [every.documented, every.options, meant_for_it]
_IN_A_RUN = [every.defaults, every.ranges, every.considerate, every.untouched, every.repeatable, every.resumes, every.cuda]
_PRECISIONS = [every.fp64, every.bf16, every.fp16]

_TIMED = 15
_ROUNDS = 5


@dataclass(frozen=True)
class Check:
    """A check by its name; a capability that is lacking is no failure."""

    name: str
    function: Callable[[Subject], None]
    capability: bool = False

    @property
    def says(self) -> str:
        """What it holds to be true."""
        return (self.function.__doc__ or "").partition("\n")[0].strip()


def checks(kind: str) -> list[Check]:
    """Return the checks for a kind."""
    own = _OWN[kind]
    required = [*_FIRST, *_IN_A_RUN, *own.CHECKS]
    capabilities = [*own.CAPABILITIES, *_PRECISIONS]
    if kind == "task":  # it chooses other parts, and does nothing in a run itself
        required, capabilities = [*_FIRST, every.defaults, *own.CHECKS], []
    if kind == "dataset":  # it has done its part before a run begins
        required, capabilities = [*_FIRST, every.defaults, every.ranges, every.considerate, *own.CHECKS], []
    return [*(Check(one.__name__, one) for one in required), *(Check(one.__name__, one, True) for one in capabilities)]


def names(kind: str) -> list[str]:
    """Return the names of the checks for a kind."""
    return [check.name for check in checks(kind)]


def subjects(components: Iterable[Component], catalog: Catalog, given: Mapping[str, Mapping[str, Any]]) -> list[Subject]:
    """Return components as subjects. `given` are options by the component's name, for those that can't do without."""
    offered = with_reference(catalog)
    return [Subject(component, offered, given.get(component.name, {})) for component in components]


def conclude(subject: Subject, check: Check) -> Outcome:
    """Put a component to a check."""
    start = time.perf_counter()
    verdict, detail = _verdict(subject, check)
    return Outcome(check.name, verdict, detail, round(time.perf_counter() - start, 3))


def _verdict(subject: Subject, check: Check) -> tuple[Verdict, str]:
    if missing := subject.missing():
        return Verdict.SKIPPED, f"it must be given {', '.join(option.name for option in missing)}"
    said = subject.exceptions.get(check.name, "")
    try:
        check.function(subject)
    except Skip as skip:
        return Verdict.SKIPPED, str(skip)
    except Cannot as error:
        return Verdict.CANNOT, said or str(error)
    except Failure as failure:
        return (Verdict.CANNOT, f"as it says: {said}") if said else (Verdict.FAILED, str(failure))
    except UserError as error:
        return (Verdict.CANNOT, f"as it says: {said}") if said else (Verdict.FAILED, str(error))
    except Exception as error:
        if said:
            return Verdict.CANNOT, f"as it says: {said}"
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Verdict.FAILED, f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
    if said:
        return Verdict.FAILED, f"it says that it can't ({said}), and it can: take that out of `cannot`"
    return Verdict.PASSED, ""


def card(
    subject: Subject, chosen: Sequence[Check] | None = None, tell: Callable[[Outcome], object] = lambda outcome: None
) -> Card:
    """Put a component to all checks of its kind, or to some; return its card. `tell` is told of each outcome."""
    outcomes = []
    for check in chosen if chosen is not None else checks(subject.kind):
        outcomes.append(conclude(subject, check))
        tell(outcomes[-1])
    plugin = subject.component.plugin
    data: tuple[str, ...] = ()
    measures: dict[str, float] = {}
    if not subject.missing() and all(outcome.verdict is not Verdict.FAILED for outcome in outcomes):
        with contextlib.suppress(Skip):  # it can't be run here, and no check has run it
            data, measures = subject.data, _measures(subject)
    return Card(
        kind=subject.kind,
        name=subject.component.name,
        distribution=plugin.distribution,
        version=plugin.version,
        data=data,
        outcomes=tuple(outcomes),
        measures=measures,
        versions={"weft": __version__, "torch": str(torch.__version__)},
    )


def _measures(subject: Subject) -> dict[str, float]:
    """Return what a component costs: its parameters, its state in bytes, the time of a step with it over one without."""
    found: dict[str, float] = {}
    run = subject.run()
    train(run, 1)
    if subject.kind == "model":
        found["parameters"] = sum(parameter.numel() for parameter in run.model.parameters())
    held = {"model": run.model, "optimizer": run.optimizer, "loss": run.loss, "scheduler": run.scheduler}.get(subject.kind)
    if held is not None and hasattr(held, "state_dict"):
        found["state_bytes"] = _bytes(held.state_dict())
    if subject.kind in ("dataset", "task"):
        return found
    seconds = [(_step(subject.run()), _step(subject.plain())) for _ in range(_ROUNDS)]
    found["step_seconds"] = statistics.median(here for here, _ in seconds)
    found["step_of_plain"] = statistics.median(here / there for here, there in seconds)
    return found


def _step(run: Run) -> float:
    """Return the seconds of a training step."""
    train(run, 1)
    start = time.perf_counter()
    train(run, _TIMED)
    return (time.perf_counter() - start) / _TIMED


def _bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, (list, tuple)) else 0
