"""What a sweep is told beside its jobs, and whether that can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from weft import destination, hydra_guard, options, settings
from weft.configuration import Configuration
from weft.errors import ConfigError
from weft.sweep import budget
from weft.sweep.budget import Budget
from weft.sweep.ledger import Ledger, is_sweep
from weft.sweep.options import TARGET, SlotOptions

_SUBDIR = "${hydra.job.num}"


@dataclass(frozen=True)
class Order:
    """What a sweep is told, beside its jobs."""

    folder: Path
    launcher: Mapping[str, Any]
    strict: bool
    patience: float
    budget: Budget | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def options(self) -> SlotOptions:
        """Of slots. Where another launcher runs the jobs they are the default ones: jobs are tried in slots all the same."""
        return SlotOptions.read(self.launcher if self.runs_in_slots else {})

    @property
    def runs_in_slots(self) -> bool:
        return self.launcher.get("_target_") == TARGET


def order_of(config: DictConfig) -> Order:
    """Return what a composed config orders.

    Raises:
        ConfigError: settings of the sweep that can't be.
    """
    launcher = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    values = OmegaConf.to_container(config.sweep, resolve=True)
    assert isinstance(launcher, dict)
    assert isinstance(values, dict)
    given = {str(key): value for key, value in values.items()}
    told = settings.Sweep(**options.check(settings.options(settings.Sweep), given, "sweep", "weft's sweep"))
    return Order(
        folder=Path(str(OmegaConf.select(config, "hydra.sweep.dir"))),
        launcher={str(key): value for key, value in launcher.items()},
        strict=told.strict,
        patience=told.patience,
        budget=budget.read(told.compare, told.budget),
        environment={str(key): str(value) for key, value in config.hydra.job.env_set.items()},
    )


def check(config: DictConfig, order: Order, jobs: Sequence[Configuration]) -> None:
    """See that the sweep's own settings can be, and its places.

    Raises:
        ConfigError: one can't.
    """
    _ = order.options
    for runs, uri in dict.fromkeys((wanted.settings.runs, wanted.settings.store) for wanted in jobs):
        destination.check_place("runs", Path(runs))
        destination.check_uri(uri)
    for wanted in jobs:
        if wanted.settings.tracking.run_id:
            raise ConfigError(f"tracking.run_id: {wanted.settings.tracking.run_id} is one run, and a sweep makes many")
    subdir = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]  # type: ignore[index,call-overload]
    if subdir != _SUBDIR:
        raise ConfigError(f"hydra.sweep.subdir: {subdir!r}: the folder of a job is its number, by which the ledger knows it")
    destination.check_place("hydra.sweep.dir", order.folder)
    if order.folder.exists() and any(order.folder.iterdir()) and not is_sweep(order.folder):
        raise ConfigError(f"sweep.name: {order.folder} is there already, and holds no sweep; choose another name")
    hydra_guard.check_logging(config.hydra)


def opened(stack: ExitStack, folder: Path) -> Ledger | None:
    """Return the ledger of a sweep that is there already, with no job under way; None where there is none."""
    if not is_sweep(folder):
        return None
    ledger = stack.enter_context(Ledger(folder))
    ledger.settle()
    return ledger


def begun(stack: ExitStack, folder: Path) -> Ledger:
    """Return the ledger of a sweep that begins now.

    Raises:
        ConfigError: another process has begun it meanwhile.
    """
    ledger = stack.enter_context(Ledger(folder))
    if ledger.jobs():
        raise ConfigError(f"{folder}: another process has begun this sweep meanwhile; give the command again to go on with it")
    return ledger
