"""A lower learning rate for a run that gets no better."""

from typing import Annotated, Any

from weft import Callback, Range, Run
from weft_basics.callbacks.patience import Patience


class ReduceOnPlateau(Callback):
    """Multiplies the learning rate by `factor` when the objective, or the score `monitor`, has got no better for `patience`
    epochs. torch has it among its schedulers; it goes by epochs and scores, which makes it a callback here."""

    def __init__(
        self,
        factor: Annotated[float, Range(1e-6, 0.999)] = 0.1,
        patience: Annotated[int, Range(1, 1_000_000), "epochs"] = 5,
        min_delta: Annotated[float, Range(0, 1e9), "what counts as better"] = 0.0,
        min_lr: Annotated[float, Range(0, 100)] = 0.0,
        monitor: Annotated[str | None, "score, such as valid/accuracy; null is the objective"] = None,
    ):
        self.factor = factor
        self.patience = patience
        self.min_lr = min_lr
        self._waiting = Patience(monitor, min_delta)

    def on_epoch_end(self, run: Run) -> None:
        if self._waiting.see(run) >= self.patience:
            self._waiting.waited = 0
            for group in run.optimizer.param_groups:
                group["lr"] = max(float(group["lr"]) * self.factor, self.min_lr)

    def state_dict(self) -> dict[str, Any]:
        """Return how long it has waited."""
        return self._waiting.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self._waiting.load_state_dict(state)
