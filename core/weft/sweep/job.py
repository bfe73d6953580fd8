"""One job of a sweep, as Hydra's launchers call it: in this process or in another."""

from __future__ import annotations

import logging
import shlex
import time
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from weft import api, compose
from weft.catalog import catalog
from weft.errors import UserError
from weft.execution import execute, record_failure
from weft.experiment import prepare
from weft.folder import Folder
from weft.progress import Lines
from weft.telemetry.tracker import Status

log = logging.getLogger("weft")

_LINE_SECONDS = 10.0


def job(config: DictConfig) -> float:
    """Execute one job and return its objective, for the sweeper; NaN when it failed.

    A failure is said and recorded here, and not raised: Hydra would end the sweep with the first one.
    """
    start = time.monotonic()
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    wanted = compose.read(config, overrides)
    folder = Folder(Path(hydra.runtime.output_dir))
    tracker = api.tracker_of(wanted.settings, folder, wait=0.0)  # the sweep waits, once, at its end
    title = f"#{hydra.job.num} {' '.join(shown for shown in overrides if not shown.startswith('sweep.name='))}"
    try:
        run = prepare(wanted, catalog())
    except (Exception, SystemExit) as error:
        record_failure(wanted, folder, tracker, overrides, error)
        _report(title, overrides, error)
        return float("nan")
    result = execute(run, folder, tracker, overrides, [Lines(_LINE_SECONDS, title)])
    if result.status is Status.KILLED:
        log.warning("%s: stopped; go on with it: weft resume %s", title, folder.path)
        raise KeyboardInterrupt  # the sweep was told to stop, not this job alone
    if result.error is not None:
        _report(title, overrides, result.error)
        return float("nan")
    score = float("nan") if result.score is None else result.score
    log.info("%s: %s %.5g (%.1f s)", title, run.objective.key, score, time.monotonic() - start)
    return score


def _report(title: str, overrides: list[str], error: BaseException) -> None:
    """Say at once what failed, and how to see it again."""
    expected = isinstance(error, UserError)
    log.error(
        "%s: FAILED: %s",
        title,
        error if expected else f"{type(error).__name__}: {error}",
        exc_info=not expected and error,
    )
    kept = [override for override in overrides if not override.startswith("sweep.name=")]
    log.error("   repeat it: weft run %s", shlex.join(kept))
