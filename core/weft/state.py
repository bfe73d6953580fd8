"""The state of one run: its parts, its counters, its scores. The loop moves it; callbacks read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import signature
from itertools import islice
from typing import Any

from torch import Tensor, nn

from weft.callback import EVENTS, Callback
from weft.configuration import Configuration
from weft.data import Data, Pair
from weft.device import Device
from weft.objective import Objective
from weft.randomness import random_state, restore_random_state
from weft.regularization import Regularizers
from weft.telemetry.observer import Observer


class Unscheduled:
    """The scheduler of a run that has none: the learning rate stays."""

    def step(self) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@dataclass
class Best:
    """The best epoch so far: its score, where it was, and the scores and weights of that moment."""

    score: float | None = None
    epoch: int = 0
    step: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Evaluated:
    """A model with what it is measured by. `model` is the raw module (names, state, gradients); `forward` is what is called in
    its place."""

    configuration: Configuration
    device: Device
    data: Data
    model: nn.Module
    loss: Callable[..., Tensor]
    metrics: dict[str, Any]

    def __post_init__(self) -> None:
        self.forward = self.device.wrap(self.model)
        self._of_samples = {name for name, metric in self.metrics.items() if "inputs" in signature(metric.update).parameters}

    def batch_weight(self, targets: Tensor) -> float:
        """Return what a batch counts for in a mean over batches: what its loss says, else its number of samples."""
        weigh = getattr(self.loss, "batch_weight", None)
        return float(weigh(targets)) if weigh else float(len(targets))

    def measure(self, inputs: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Have every metric take a batch; one whose `update` asks for `inputs` is given the samples as well."""
        for name, metric in self.metrics.items():
            metric.update(outputs, targets, **({"inputs": inputs} if name in self._of_samples else {}))

    def every(self, split: str) -> Iterator[Pair]:
        """Yield all of a split, in batches."""
        return self.data.measuring(self, split)


@dataclass
class Run(Evaluated):
    """One run.

    `total_steps` is where it ends at the latest; setting `stopping` ends it after the epoch. `epoch_start` is the step that
    the present epoch began at, None between epochs.
    """

    optimizer: Any
    scheduler: Any
    regularizers: Regularizers
    objective: Objective
    observer: Observer
    total_steps: int
    callbacks: Mapping[str, Callback] = field(default_factory=dict)

    epoch: int = 0
    step: int = 0
    epoch_start: int | None = None
    stopping: bool = False
    scores: dict[str, float] = field(default_factory=dict)
    best: Best = field(default_factory=Best)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.listen()

    def listen(self, *others: Callback) -> None:
        """Have the events told to the observer, the configured callbacks and these others, in that order. An event that
        one doesn't override costs nothing."""
        everyone = [self.observer, *self.callbacks.values(), *others]
        self._listeners: dict[str, list[Callable[[Run], None]]] = {
            event: [
                getattr(listener, event)
                for listener in everyone
                if getattr(type(listener), event, None) not in (None, getattr(Callback, event))
            ]
            for event in EVENTS
        }

    def notify(self, event: str) -> None:
        """Tell everyone who listens, in order."""
        for listener in self._listeners[event]:
            listener(self)

    @property
    def done(self) -> bool:
        """Whether there is no epoch left to begin, and none to end."""
        return self.epoch_start is None and (self.stopping or self.step >= self.total_steps)

    def begin_epoch(self) -> None:
        """Begin an epoch, or go on with the one that was interrupted."""
        if self.epoch_start is None:
            self.epoch_start = self.step

    def end_epoch(self) -> None:
        """Count the epoch as done."""
        self.epoch += 1
        self.epoch_start = None

    @property
    def into_epoch(self) -> int:
        """How many steps of the present epoch are done."""
        return 0 if self.epoch_start is None else self.step - self.epoch_start

    def batches(self) -> Iterator[Pair]:
        """Yield what is left of this epoch's batches, up to the run's last step."""
        return islice(self.data.training(self), self.total_steps - self.step)

    def log(self, values: Mapping[str, float | Tensor]) -> None:
        """Record values at this step. Tensors of one element stay on the device until they are flushed."""
        self.observer.stage(self.step, values)

    def image(self, name: str, image: Any) -> None:
        """Record an image at this step: [height, width] or [height, width, channels], fractions from 0 to 1 or whole numbers
        from 0 to 255. MLflow's page shows those of a name along the steps, of which each has one.

        Raises:
            UserError: another shape or kind of numbers, or a name that can't be.
        """
        self.observer.image(self.step, name, image)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that going on exactly needs."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "epoch_start": self.epoch_start,
            "stopping": self.stopping,
            "scores": self.scores,
            "best": vars(self.best),
            "parts": {name: part.state_dict() for name, part in self._stateful().items()},
            "random": random_state(self.device.device),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to where `state_dict` was called."""
        self.epoch, self.step, self.epoch_start = state["epoch"], state["step"], state["epoch_start"]
        self.stopping = state["stopping"]
        self.scores = dict(state["scores"])
        self.best = Best(**state["best"])
        for name, part in self._stateful().items():
            part.load_state_dict(state["parts"][name])
        _restore_types(self.optimizer, state["parts"]["optimizer"])
        restore_random_state(state["random"], self.device.device)

    def _stateful(self) -> dict[str, Any]:
        """Return the parts that have a state, by a name that stays the same."""
        parts = {
            "model": self.model,
            "loss": self.loss,
            "dataset": self.data,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "device": self.device,
            "observer": self.observer,
            **{f"regularizer.{name}": part for name, part in self.regularizers.parts.items()},
            **{f"callback.{name}": callback for name, callback in self.callbacks.items()},
        }
        return {name: part for name, part in parts.items() if hasattr(part, "state_dict")}


def _restore_types(optimizer: Any, saved: Mapping[str, Any]) -> None:
    """Give the optimizer's tensors the types they were saved with: torch casts them to the weights' on loading, and a float32
    counter of NAdam's goes on in float64 from there."""
    loaded = optimizer.state_dict().get("state", {})
    for index, values in saved.get("state", {}).items():
        for name, value in values.items() if isinstance(values, Mapping) else ():
            if isinstance(value, Tensor) and loaded[index][name].dtype != value.dtype:
                loaded[index][name].data = value.to(loaded[index][name].device)
