"""An end to a run that gets no better."""

from typing import Annotated, Any

from weft import Callback, Range, Run
from weft_basics.callbacks.patience import Patience


class EarlyStopping(Callback):
    """Ends the run when the objective, or the score `monitor`, has got no better for `patience` epochs (Prechelt 1998)."""

    def __init__(
        self,
        patience: Annotated[int, Range(1, 1_000_000), "epochs"] = 5,
        min_delta: Annotated[float, Range(0, 1e9), "what counts as better"] = 0.0,
        monitor: Annotated[str | None, "score, such as valid/accuracy; null is the objective"] = None,
    ):
        self.patience = patience
        self._waiting = Patience(monitor, min_delta)

    def on_epoch_end(self, run: Run) -> None:
        if self._waiting.see(run) >= self.patience:
            run.stopping = True

    def state_dict(self) -> dict[str, Any]:
        """Return how long it has waited."""
        return self._waiting.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self._waiting.load_state_dict(state)
