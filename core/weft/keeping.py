"""What a run keeps of itself: the weights of its best epoch, checkpoints, and a last one when it is told to stop."""

from __future__ import annotations

import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType

from torch import Tensor

from weft import checkpoint, signals
from weft.callback import Callback
from weft.errors import Interrupted
from weft.state import Best, Run
from weft.telemetry import recording

_SHARE = 0.05
"""Of the time that a run may spend on checkpoints."""
_PAUSE = 1.0
"""Seconds from one checkpoint to the next, at the least."""


class BestWeights(Callback):
    """Keeps a copy of the weights whenever the objective is better than ever."""

    def on_epoch_end(self, run: Run) -> None:
        score = run.scores[run.objective.key]
        if run.objective.better(score, run.best.score):
            state = run.model.state_dict()
            weights = {name: value.detach().clone() if isinstance(value, Tensor) else value for name, value in state.items()}
            run.best = Best(score, run.epoch, run.step, dict(run.scores), weights)


class Checkpoints(Callback):
    """Writes the run's whole state to a file, as often as a small share of the time allows."""

    def __init__(self, path: Path):
        self.path = path
        self._next = time.monotonic() + _PAUSE

    def on_step_end(self, run: Run) -> None:
        self._save_when_due(run)

    def on_epoch_end(self, run: Run) -> None:
        self._save_when_due(run)

    def on_fit_end(self, run: Run) -> None:
        self.save(run)

    def save(self, run: Run) -> None:
        """Write the state now. What it has recorded goes to the tracker first."""
        start = time.monotonic()
        run.observer.flush(run)
        checkpoint.write(self.path, run.state_dict())
        end = time.monotonic()
        self._next = end + max(_PAUSE, (end - start) / _SHARE)

    def _save_when_due(self, run: Run) -> None:
        if time.monotonic() >= self._next:
            self.save(run)


class Interruption(Callback):
    """Ends the run after the step in which a signal came, with a checkpoint."""

    def __init__(self, checkpoints: Checkpoints):
        self._checkpoints = checkpoints
        self._signal = 0

    def listening(self) -> AbstractContextManager[None]:
        """Take SIGINT and SIGTERM while inside. A second one of them acts at once, as it would have without weft."""
        return signals.taken(self._take)

    def on_step_end(self, run: Run) -> None:
        if self._signal:
            self._checkpoints.save(run)
            self.act()

    def act(self) -> None:
        """Raise `Interrupted` when a signal has come."""
        if self._signal:
            raise Interrupted(self._signal)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
        recording.note_signal(signal.Signals(number).name)
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
