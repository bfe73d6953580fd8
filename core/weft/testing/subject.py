"""The component under test, and the runs that it is put into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from weft import configuration, loop
from weft.build import build
from weft.catalog import Catalog, Component, Loaded
from weft.configuration import Part
from weft.errors import UserError
from weft.experiment import prepare
from weft.kinds import KINDS
from weft.options import MISSING, Option
from weft.randomness import derived, seed_everything
from weft.state import Run
from weft.testing.outcome import Failure, Skip
from weft.testing.reference import ACTIVATED, ANSWERS, MODEL, OPTIMIZER, SAMPLES, TASKS

_BATCH = 8
_STEPS = 120  # more than any check takes


@dataclass(frozen=True)
class Subject:
    """A component under test.

    Args:
        component: what is tested.
        catalog: it, and the reference parts.
        given: options beside its defaults, for what can't do without, such as a path.
    """

    component: Component
    catalog: Catalog
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.component.kind

    @cached_property
    def loaded(self) -> Loaded:
        """Raises:
        PluginError: it can't be imported.
        """
        return self.catalog.load(self.component)

    @property
    def exceptions(self) -> Mapping[str, str]:
        """What it says that it can't, and why: `cannot = {"gradients": "they are a surrogate"}`."""
        return getattr(self.loaded.factory, "cannot", {})

    @property
    def beside(self) -> Mapping[str, Any]:
        """Return the parts that it says it is to be tried with, as in a config: `beside = {"model": {"name": "keras_mlp"}}`."""
        return getattr(self.loaded.factory, "beside", {})

    def missing(self) -> list[Option]:
        """Return the options that have no default, and were not given either."""
        return [option for option in self.component.options if option.default == MISSING and option.name not in self.given]

    def chosen(self, **options: Any) -> dict[str, Any]:
        """Return the component as a config chooses it."""
        return {"name": self.component.name, **self.given, **options}

    def part(self, **options: Any) -> Part:
        """Return the component as a part of a configuration."""
        return configuration.part(self.kind, self.chosen(**options), self.catalog)

    def build(self, seed: int = 0, options: Mapping[str, Any] | None = None, **supplied: Any) -> Any:
        """Build the component by itself.

        Raises:
            ConfigError: it refuses its options.
        """
        seed_everything(seed)
        return build(self.part(**(options or {})), self.catalog, **supplied)

    @property
    def data(self) -> tuple[str, ...]:
        """The kinds of samples that a run with it can have, of the tasks that it serves.

        Raises:
            Failure: there are none.
        """
        return tuple(self._stages)

    @cached_property
    def _stages(self) -> Mapping[str, str]:
        """The kinds of samples, and what a model beside it must answer with: scores, unless it is a loss that refuses them."""
        if self.kind == "dataset" or "dataset" in self.beside:
            return {"its own": "scores"}
        accepted: dict[str, str] = {}
        refused: dict[str, str] = {}
        for name, task in TASKS.items():
            if self.component.tasks and task not in self.component.tasks:
                continue
            if self.kind == "task" and task != self.component.name:
                continue
            for answers in ANSWERS if self.kind == "loss" else ANSWERS[:1]:
                try:
                    self._prepared(self._tree(name, answers, {}, {}))
                except UserError as error:
                    refused.setdefault(name, str(error).splitlines()[0])
                else:
                    accepted[name] = answers
                    break
        if not accepted and not refused:
            raise Skip(f"it is for none of {', '.join(dict.fromkeys(TASKS.values()))}, which are what it could be tried with")
        if not accepted:
            raise Failure("; ".join(f"{name}: {reason}" for name, reason in refused.items()))
        return accepted

    def run(self, data: str | None = None, options: Mapping[str, Any] | None = None, **settings: Any) -> Run:
        """Prepare a run of a few steps that has the component in it, and reference parts for the rest.

        Raises:
            ConfigError: it refuses its options, or the samples.
        """
        name = data or self.data[0]
        return self._prepared(self._tree(name, self._stages[name], options or {}, settings))

    def plain(self, **settings: Any) -> Run:
        """Prepare the same run with a reference part in its place, or without."""
        name = self.data[0]
        tree = self._tree(name, self._stages[name], {}, settings)
        if self.kind in ("model", "activation"):
            tree["model"] = {"name": MODEL}
        elif self.kind == "optimizer":
            tree["optimizer"] = {"name": OPTIMIZER, "lr": 0.01}
        else:
            tree.pop(self.kind)
        return self._prepared(tree)

    def _prepared(self, tree: Mapping[str, Any]) -> Run:
        """Prepare a run, and seed the process for its training, as executing it does."""
        run = prepare(configuration.read(tree, self.catalog), self.catalog)
        seed_everything(derived(run.configuration.settings.seed, "training"))
        return run

    def _tree(self, data: str, answers: str, options: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        tree: dict[str, Any] = {
            "dataset": {"name": SAMPLES, "kind": data},
            "model": {"name": MODEL, "answers": answers},
            "optimizer": {"name": OPTIMIZER, "lr": 0.01},
            "batch_size": _BATCH,
            "steps": _STEPS,
            "threads": 1,
            "device": "cpu",
            "observe": {"gradients": False, "histograms": None, "system": None},
            **self.beside,
            **settings,
        }
        if self.kind == "activation":
            tree["model"] = {"name": ACTIVATED, "activation": self.chosen(**options)}
        elif self.kind == "dataset":
            tree["dataset"] = self.chosen(**options)
        elif KINDS[self.kind].several:
            tree[self.kind] = {self.component.name: self.chosen(**options)}
        elif self.kind != "task":
            tree[self.kind] = self.chosen(**options)
        return tree


def train(run: Run, steps: int) -> None:
    """Train for so many steps more, in as many epochs as it takes."""
    run.total_steps = run.step + steps
    while run.step < run.total_steps:
        run.begin_epoch()
        loop.train(run)
        if run.step < run.total_steps:
            run.end_epoch()


def weights(run: Run) -> dict[str, Tensor]:
    """Return copies of the model's tensors."""
    return {name: tensor.detach().clone() for name, tensor in run.model.state_dict().items()}


def differing(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    """Return the names of tensors that are not the same, bit by bit, or are in one only."""
    there = one.keys() & other.keys()
    return sorted((one.keys() ^ other.keys()) | {name for name in there if not _same(one[name], other[name])})


def _same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and bool(torch.equal(one.nan_to_num(), other.nan_to_num()))
