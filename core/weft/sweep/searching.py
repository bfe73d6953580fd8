"""Jobs of any Hydra app in batches: what `hydra/sweeper=optuna` does where Hydra calls it.

weft's own sweeps go by `multirun`, which asks for a job whenever a slot is free.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from weft import compose
from weft.configuration import Configuration
from weft.sweep import search
from weft.sweep.search import SearchOptions
from weft.sweep.space import Configure

log = logging.getLogger(__name__)

RESULTS = "optimization_results.yaml"
"""Where the best job's parameters and score go, in the sweep's folder: Hydra's own Optuna sweeper has them there."""


def sweep(
    options: Mapping[str, Any], loader: ConfigLoader, launcher: Launcher, config: DictConfig, arguments: Sequence[str]
) -> None:
    """Run `n_trials` jobs, `n_jobs` at a time, those first that were running when the sweep was interrupted.

    Raises:
        ConfigError: see `search.open`.
        Exception: of a job's, where more than `max_failure_rate` of a batch have failed.
    """
    wanted = SearchOptions.read(options)
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    found = search.open(folder, options, arguments, _configure(loader, config), loader=loader)
    OmegaConf.save(config, folder / "multirun.yaml")
    for left in found.interrupted():
        found.again(left.number)
    while batch := [proposal for _ in range(wanted.n_jobs) if (proposal := found.ask())]:
        returned = launcher.launch([proposal.overrides for proposal in batch], initial_job_idx=batch[0].number)
        failures = []
        for proposal, job in zip(batch, returned, strict=True):
            try:
                score = _score(job)
            except Exception as error:  # whatever a job has raised
                log.warning("job #%d failed: %s: %s", proposal.number, type(error).__name__, error)
                failures.append(error)
                score = None
            found.tell(proposal.number, score)
        if len(failures) > wanted.max_failure_rate * len(batch):
            raise failures[0]
    best = found.best()
    if best is None:
        log.warning("no job has a score")
        return
    proposal, value = best
    log.info("best: job #%d, %s: %s", proposal.number, value, " ".join(proposal.overrides))
    results = {"name": "optuna", "best_params": dict(proposal.params), "best_value": value}
    OmegaConf.save(OmegaConf.create(results), folder / RESULTS)


def _score(job: JobReturn) -> float:
    """Return what a job returned, or raise what it raised."""
    value = job.return_value
    try:
        score = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"the value to optimize is a number; it returned {value!r}") from None
    if not math.isfinite(score):
        raise ValueError(f"the value to optimize is a finite number; it returned {score}")
    return score


def _configure(loader: ConfigLoader, config: DictConfig) -> Configure | None:
    """Return what says what parts overrides come to, where this is a sweep of weft's; in another's app there are none."""
    if not any(source.scheme() == compose.PluginSource.scheme() for source in loader.get_sources()):
        return None

    def configure(overrides: Sequence[str]) -> Configuration:
        return compose.read(loader.load_sweep_config(config, [*overrides]), overrides)

    return configure
