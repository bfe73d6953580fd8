"""A sweep: every job checked, then handed to Hydra's sweeper and launcher, then the leaderboard."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from hydra._internal.hydra import Hydra
from hydra.types import RunMode
from omegaconf import OmegaConf
from rich.console import Console
from rich.markup import escape

from weft import compose, destination, hydra_guard
from weft.configuration import Configuration
from weft.errors import ConfigError
from weft.settings import Settings
from weft.sweep import leaderboard
from weft.sweep.job import job
from weft.telemetry.redaction import redact
from weft.telemetry.spool import Spool


def run(hydra: Hydra, overrides: Sequence[str], console: Console) -> int:
    """Run all jobs; return the exit code: 0 when every one of them finished.

    Raises:
        ConfigError: of the first job that can't be, before any starts; or a sweep of that name is there already.
    """
    if os.environ.get("MLFLOW_RUN_ID"):
        raise ConfigError("MLFLOW_RUN_ID: names one run, and a sweep makes many; unset it")
    given = list(overrides)
    if compose.compose(hydra, overrides, RunMode.MULTIRUN).sweep.name is None:
        given.append(f"sweep.name={datetime.now():%Y-%m-%d_%H-%M-%S-%f}")
    config, jobs = compose.check_jobs(hydra, given)
    for runs, uri in dict.fromkeys((wanted.settings.runs, wanted.settings.store) for wanted in jobs):
        destination.check_place("runs", Path(runs))
        destination.check_uri(uri)
    for wanted in jobs:
        if wanted.settings.tracking.run_id:
            raise ConfigError(f"tracking.run_id: {wanted.settings.tracking.run_id} is one run, and a sweep makes many")
    folder = Path(str(OmegaConf.select(config, "hydra.sweep.dir")))
    destination.check_place("hydra.sweep.dir", folder)
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"sweep.name: {folder} is there already, and would be overwritten; choose another name")
    hydra_guard.check_logging(config.hydra)
    console.print(f"{len(jobs) or 'a number of'} jobs, in {folder}", highlight=False, soft_wrap=True)
    hydra.multirun(compose.CONFIG, job, [*given, "hydra.mode=MULTIRUN"])
    code = report(folder, console, len(jobs))
    for uri, seconds in {wanted.settings.store: wanted.settings.telemetry.wait for wanted in jobs}.items():
        Spool(uri).drain(seconds)
    console.print(f"all of it in MLflow: {_command()} ui{_options(jobs)}", highlight=False, soft_wrap=True)
    return code


def _command() -> str:
    """Return how this command was called, where its name alone would not be found."""
    return "weft" if shutil.which("weft") else os.path.relpath(sys.argv[0])


def _options(jobs: Sequence[Configuration]) -> str:
    """Return what `weft ui` must be told when the jobs' store or experiment is not the default."""
    if not jobs:
        return ""
    default, chosen = Settings(), jobs[0].settings
    uri = "" if chosen.store == default.store else f" --uri {redact('uri', chosen.store)}"
    same = chosen.tracking.experiment == default.tracking.experiment
    return uri + ("" if same else f" --experiment {chosen.tracking.experiment}")


def report(folder: Path, console: Console, expected: int = 0) -> int:
    """Print the leaderboard of a sweep; return the exit code."""
    found = leaderboard.entries(folder)
    failed = [entry for entry in found if entry.status != "FINISHED"]
    console.print()
    console.print(leaderboard.table(found))
    if any(entry.reference for entry in found):
        console.print(leaderboard.comparison(found))
    for entry in failed:
        console.print(f"[red]{entry.status}[/] {escape(str(entry.folder))}: {escape(entry.error or '')}", soft_wrap=True)
    if len(found) < expected:
        console.print(f"{expected - len(found)} jobs left no record")
    return 0 if not failed and len(found) >= expected else 1
