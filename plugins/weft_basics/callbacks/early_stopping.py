"""Enough is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weft import Callback
from weft_basics.callbacks.patience import Epochs, MinDelta, Monitor, Patience, watched

if TYPE_CHECKING:
    from weft import Run


class EarlyStopping(Callback):
    """Ends the run when its objective has not improved for `patience` epochs (Prechelt, "Early stopping - but when?", 1998).

    Raises:
        ConfigError: at the start of the run, when `monitor` names no score, or one without a direction.
    """

    def __init__(self, patience: Epochs = 10, min_delta: MinDelta = 0.0, monitor: Monitor = None):
        self.patience = patience
        self.monitor = monitor
        self.waiting = Patience(min_delta)

    def check(self, run: Run) -> None:
        self.key, self.better = watched(run, self.monitor, "early_stopping")

    def on_epoch_end(self, run: Run) -> None:
        if self.waiting.see(run.scores[self.key], self.better) >= self.patience:
            run.stopping = True

    def state_dict(self) -> dict[str, Any]:
        return self.waiting.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.waiting.load_state_dict(state)
