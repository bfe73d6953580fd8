"""What one job of a sweep does, in whatever process: it trains, and its folder tells how it went."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from weft import checkpoint, compose, destination
from weft.callback import Callback
from weft.catalog import catalog
from weft.configuration import Configuration
from weft.errors import ConfigError, UserError
from weft.execution import Outcome, execute, record_failure
from weft.experiment import prepare
from weft.folder import Folder
from weft.logs import to_console
from weft.progress import Lines
from weft.state import Run
from weft.sweep.process import Tell
from weft.sweep.results import command
from weft.sweep.words import Progress, Work
from weft.telemetry.tracker import Status

log = logging.getLogger("weft")

_LINE_SECONDS = 10.0
_TELL_SECONDS = 0.25


class Telling(Callback):
    """Tells the parent how far the run is; asks it after each epoch whether the run should end there, if it is to."""

    def __init__(self, tell: Tell, asks: bool):
        self._tell = tell
        self._asks = asks
        self._next = 0.0
        self.pruned = 0

    def on_fit_start(self, run: Run) -> None:
        self._tell(_progress(run))

    def on_step_end(self, run: Run) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _TELL_SECONDS
            self._tell(_progress(run))

    def on_epoch_end(self, run: Run) -> None:
        if self._asks and not run.done and self._tell.ask(_progress(run)):
            run.stopping = True
            self.pruned = run.epoch
            run.observer.tracker.tag({"weft.pruned": f"after epoch {run.epoch}"})

    def on_fit_end(self, run: Run) -> None:
        self._tell(_progress(run))


def _progress(run: Run) -> Progress:
    return Progress(run.step, run.total_steps, run.epoch, run.objective.key, run.scores.get(run.objective.key))


def perform(tell: Tell, work: Work, threads: int) -> None:
    """Do a job in its own process."""
    to_console()
    torch.set_num_threads(threads)
    folder = Folder(work.folder)
    if work.resume:
        _check_checkpoint(folder)
    telling = Telling(tell, work.asks)
    try:
        carry_out(compose.checked(work.config), work.overrides, folder, [telling], work.resume)
    except KeyboardInterrupt:  # told to stop before it had begun
        log.warning("stopped")
    if telling.pruned:
        folder.note(pruned=telling.pruned)


def _check_checkpoint(folder: Folder) -> None:
    """Put aside a checkpoint that can't be read: the job begins from its start, and comes to the same."""
    if folder.checkpoint.exists():
        try:
            checkpoint.read(folder.checkpoint)
        except ConfigError as error:
            log.warning("begins from its start: %s", error)
            folder.checkpoint.replace(folder.checkpoint.with_suffix(".damaged"))


def carry_out(
    wanted: Configuration, overrides: Sequence[str], folder: Folder, watching: Sequence[Callback], resume: bool
) -> Outcome | BaseException:
    """Train and test one job. Return how it ended, or what kept it from being a run: that is recorded like any failure."""
    tracker = destination.tracker(wanted.settings, folder, wait=0.0)  # the sweep waits, once, at its end
    try:
        run = prepare(wanted, catalog())
    except (Exception, SystemExit) as error:
        record_failure(wanted, folder, tracker, overrides, error)
        log.error("%s", error, exc_info=not isinstance(error, UserError))
        return error
    done = execute(run, folder, tracker, overrides, watching, resume)
    if done.error is not None and done.status is Status.FAILED:
        log.error("%s", done.error, exc_info=not isinstance(done.error, UserError) and done.error)
    return done


def task(config: DictConfig) -> float:
    """Do one job for a launcher or a sweeper of Hydra's; return its objective, NaN when it failed.

    A failure is said and recorded here, and not raised: Hydra would end the sweep with the first one. A job whose folder holds
    a run that has not finished goes on with it.
    """
    start = time.monotonic()
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    folder = Folder(Path(hydra.runtime.output_dir))
    title = f"#{folder.path.name} {' '.join(shown for shown in overrides if not shown.startswith('sweep.name='))}"
    begun = bool(folder.record())
    done = carry_out(compose.read(config, overrides), overrides, folder, [Lines(_LINE_SECONDS, title)], begun)
    error = done.error if isinstance(done, Outcome) else done
    if isinstance(done, Outcome) and done.status is Status.KILLED:
        log.warning("%s: stopped; go on with it: weft resume %s", title, folder.path)
        raise KeyboardInterrupt  # the sweep was told to stop, not this job alone
    if not isinstance(done, Outcome) or error is not None:
        log.error("%s: FAILED: %s", title, error)
        log.error("   repeat it: %s", command(overrides))
        return float("nan")
    score = float("nan") if done.score is None else done.score
    log.info("%s: %s %.5g (%.1f s)", title, done.objective.partition(":")[2], score, time.monotonic() - start)
    return score
