"""How far a run is: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from weft.callback import Callback
from weft.state import Run

log = logging.getLogger("weft")

_LINE_SECONDS = 2.0
_REFRESH_SECONDS = 0.1


def watcher(console: Console) -> Bar | Lines:
    """Return the callback that suits the console."""
    return Bar(console) if console.is_terminal else Lines()


class Bar(Callback):
    """A bar that is gone when the run is done."""

    def __init__(self, console: Console):
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[scores]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._next = 0.0

    def on_fit_start(self, run: Run) -> None:
        self._task = self._progress.add_task("training", total=run.total_steps, completed=run.step, scores="")
        self._progress.start()

    def on_step_end(self, run: Run) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _REFRESH_SECONDS
            self._progress.update(self._task, completed=run.step, description=f"epoch {run.epoch + 1}")

    def on_epoch_end(self, run: Run) -> None:
        self._progress.update(self._task, completed=run.step, scores=scores(run))

    def on_fit_end(self, run: Run) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away, also of a run that did not end well."""
        self._progress.stop()


class Lines(Callback):
    """A line of scores, at most one in so many seconds, after the name of the run where there are several. It comes with the
    end of an epoch, or when twice the seconds went by without one."""

    def __init__(self, seconds: float = _LINE_SECONDS, name: str = ""):
        self._seconds = seconds
        self._name = f"{name}: " if name else ""
        self._next = time.monotonic() + seconds

    def on_step_end(self, run: Run) -> None:
        if time.monotonic() >= self._next + self._seconds:  # an epoch that is long; one that ends soon says more
            self._say(run)

    def on_epoch_end(self, run: Run) -> None:
        if time.monotonic() >= self._next or (run.done and not self._name):
            self._say(run)

    def _say(self, run: Run) -> None:
        self._next = time.monotonic() + self._seconds
        said = f": {scores(run)}" if run.scores else ""
        log.info("%sepoch %d, step %d of %d%s", self._name, run.epoch, run.step, run.total_steps, said)

    def close(self) -> None:
        """Nothing to take away."""


def scores(run: Run) -> str:
    """Return the last scores on one line."""
    return "  ".join(f"{name} {score:.4f}" for name, score in run.scores.items())
