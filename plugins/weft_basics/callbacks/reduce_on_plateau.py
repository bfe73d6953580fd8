"""A smaller learning rate when nothing improves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, CyclicLR, LambdaLR, OneCycleLR

from weft import Callback, ConfigError, Range
from weft_basics.callbacks.patience import Epochs, MinDelta, Monitor, Patience, watched

if TYPE_CHECKING:
    from weft import Run

OVERRULING = (CosineAnnealingWarmRestarts, CyclicLR, LambdaLR, OneCycleLR)
"""Schedulers that set the rate anew at every step, whatever it was: a reduction would last for one."""


class ReduceOnPlateau(Callback):
    """Multiplies the learning rate by `factor` when the objective has not improved for `patience` epochs.

    After a reduction it waits for `cooldown` epochs before it counts again. It may go with a scheduler that changes the rate
    from what it is. As torch.optim.lr_scheduler.ReduceLROnPlateau with an absolute threshold.

    Raises:
        ConfigError: at the start of the run, when `monitor` names no score, or the scheduler would undo every reduction.
    """

    def __init__(
        self,
        factor: Annotated[float, Range(1e-3, 0.999), "of the rate, at each reduction"] = 0.1,
        patience: Epochs = 5,
        min_delta: MinDelta = 0.0,
        cooldown: Annotated[int, Range(0, 100_000), "epochs to wait after a reduction"] = 0,
        min_lr: Annotated[float, Range(0, 10), "rate that no reduction goes below"] = 0.0,
        monitor: Monitor = None,
    ):
        self.factor = factor
        self.patience = patience
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.monitor = monitor
        self.waiting = Patience(min_delta)
        self.cooling = 0

    def check(self, run: Run) -> None:
        if isinstance(run.scheduler, OVERRULING):
            raise ConfigError(
                f"callback=reduce_on_plateau: {type(run.scheduler).__name__} sets the rate anew at every step and would undo "
                "each reduction; choose one of the two"
            )
        self.key, self.better = watched(run, self.monitor, "reduce_on_plateau")

    def on_epoch_end(self, run: Run) -> None:
        waited = self.waiting.see(run.scores[self.key], self.better)
        if self.cooling:
            self.cooling -= 1
            self.waiting.waited = 0
        elif waited >= self.patience:
            self.reduce(run)
            self.waiting.waited, self.cooling = 0, self.cooldown

    def reduce(self, run: Run) -> None:
        """Multiply the rate of every parameter group, down to `min_lr`; one that is below already stays."""
        for group in run.optimizer.param_groups:
            if group["lr"] > self.min_lr:
                group["lr"] = max(group["lr"] * self.factor, self.min_lr)

    def state_dict(self) -> dict[str, Any]:
        return {**self.waiting.state_dict(), "cooling": self.cooling}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.waiting.load_state_dict(state)
        self.cooling = state["cooling"]
