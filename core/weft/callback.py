"""The six events of a run, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weft.errors import did_you_mean

if TYPE_CHECKING:
    from weft.state import Run

EVENTS = ("on_fit_start", "on_epoch_start", "on_gradients", "on_step_end", "on_epoch_end", "on_fit_end")


class Callback:
    """Something that happens beside the loop. Override any of the events; each is given the run.

    A callback with state offers `state_dict` and `load_state_dict`, and is checkpointed with the run. To end the run early
    set `run.stopping`; to change gradients do so in `on_gradients`; to change a batch or weights write a regularizer.
    """

    def __init_subclass__(cls) -> None:
        """Refuse a misspelt event: it would do nothing, silently."""
        super().__init_subclass__()
        for name in vars(cls):
            if name.startswith("on_") and name not in EVENTS:
                hint = did_you_mean(name, EVENTS)
                raise TypeError(f"{cls.__name__}.{name} is no event{hint}; there are {', '.join(EVENTS)}")

    def check(self, run: Run) -> None:
        """Before anything is written: raise a `ConfigError` where this run can't be. No event: it is called once."""

    def on_fit_start(self, run: Run) -> None:
        """Before the first epoch, also of a resumed run."""

    def on_epoch_start(self, run: Run) -> None:
        """Before an epoch, also before the rest of an interrupted one."""

    def on_gradients(self, run: Run) -> None:
        """Gradients are in `.grad`: unscaled, and unclipped unless an earlier callback did. LBFGS and its like call this
        several times a step."""

    def on_step_end(self, run: Run) -> None:
        """Weights are updated and `run.step` counts this step."""

    def on_epoch_end(self, run: Run) -> None:
        """`run.scores` holds this epoch's validation metrics."""

    def on_fit_end(self, run: Run) -> None:
        """After the last epoch, before the model is tested."""
