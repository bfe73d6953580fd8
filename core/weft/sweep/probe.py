"""One job tried for real, in a process that is thrown away: everything built, one step made, one batch timed."""

from __future__ import annotations

import hashlib
import inspect
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from weft import compose, loop
from weft.catalog import catalog
from weft.configuration import Configuration
from weft.errors import UserError
from weft.experiment import prepare
from weft.state import Run
from weft.sweep.process import Tell
from weft.sweep.words import Facts, Refused
from weft.telemetry.observer import Observer

_PATIENCE = 2.0
"""Seconds that the first step may have taken for a whole batch to be timed after it."""
_TIMED = 3
"""Steps that are timed."""


def machine(tell: Tell) -> None:
    """Tell what there is to compute on."""
    accelerators = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    tell([*accelerators, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"])


def probe(tell: Tell, tree: Mapping[str, Any], threads: int) -> None:
    """Try a job, and tell its `Facts` or why it is `Refused`."""
    torch.set_num_threads(threads)
    before = _memory()
    try:
        run = prepare(compose.checked(tree), catalog())
        seconds = _try(run)
    except UserError as error:
        tell(Refused(str(error)))
    except Exception as error:
        tell(Refused(f"{type(error).__name__}: {error}"))
    else:
        device = run.device
        assert device.threads is not None
        on_device = torch.cuda.max_memory_allocated(device.device) if device.device.type == "cuda" else _memory() - before
        facts = Facts(
            digest=run.data.digest,
            device=str(device.device),
            threads=device.threads,
            torch=str(torch.__version__),
            parameters=sum(parameter.numel() for parameter in run.model.parameters()),
            memory=on_device,
            step_seconds=seconds,
            steps_an_epoch=run.data.steps(run.configuration.settings.batch_size),
            objective=str(run.objective),
            code=_code(run.configuration),
        )
        tell(facts)


def _try(run: Run) -> float | None:
    """Train for a step on a few samples; return the seconds of one on a batch, where there is time to look."""
    settings = run.configuration.settings
    whole = run.data.splits
    few = min(settings.batch_size, 2 * settings.accumulate)
    with run.device.session():
        start = time.monotonic()
        run.data.splits = {split: (inputs[:few], targets[:few]) for split, (inputs, targets) in whole.items()}
        run.notify("on_fit_start")
        _train(run, 1)
        _measure(run)
        if time.monotonic() - start > _PATIENCE:
            return None
        run.data.splits = whole
        run.observer = Observer(replace(settings.observe, gradients=False))  # it keeps to a small share of a run's time
        run.listen()
        _train(run, 1)
        start = time.monotonic()
        _train(run, _TIMED)
        return (time.monotonic() - start) / _TIMED


def _train(run: Run, steps: int) -> None:
    """Begin an epoch, and train for so many steps of it."""
    run.total_steps = run.step + steps
    run.epoch_start = None
    run.begin_epoch()
    run.notify("on_epoch_start")
    loop.train(run)
    if run.device.device.type == "cuda":
        torch.cuda.synchronize(run.device.device)


@torch.no_grad()
def _measure(run: Run) -> None:
    """Give the metrics some samples. What they make of them is not asked: of two samples some can make nothing."""
    run.model.eval()
    inputs, targets = next(run.every("valid"))
    with run.device.autocast():
        outputs = run.forward(inputs)
    run.measure(inputs, outputs, targets)


def _memory() -> int:
    """Return the most that this process has had in memory so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _code(wanted: Configuration) -> dict[str, str]:
    """Return a digest of each source file that a chosen component is of."""
    found: dict[str, str] = {}
    for part in wanted.every_part():
        factory = catalog().load(part.component).factory
        try:
            file = inspect.getsourcefile(inspect.unwrap(factory))
            found[f"{part.component.plugin.distribution}:{factory.__module__}"] = hashlib.sha256(
                Path(file or "").read_bytes()
            ).hexdigest()[:16]
        except (TypeError, OSError):  # it is of no file: made in C, or in a notebook
            continue
    return found
