"""weft from Python: `run`, `resume`, `load`, `evaluate`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from weft import compose, destination, evaluation, saved
from weft.callback import Callback
from weft.catalog import catalog
from weft.configuration import Configuration
from weft.errors import ConfigError
from weft.execution import Outcome, execute
from weft.experiment import prepare
from weft.folder import Folder
from weft.settings import Settings
from weft.state import Run
from weft.telemetry import journal

Result = Outcome


def run(*overrides: str, config_dir: str | None = None, watching: Sequence[Callback] = ()) -> Result:
    """Train and test one run, recorded as `weft run OVERRIDES…` would.

    Args:
        overrides: as on the command line: `"model=mlp"`, `"optimizer.lr=0.01"`.
        config_dir: a folder of YAML that layers on top.
        watching: callbacks beside the configured ones, for this call.

    Raises:
        UserError: what was asked can't be done; nothing was written.
        WeftError: the run failed; it is recorded as such.
    """
    wanted, folder = compose.configured(overrides, config_dir)
    destination.check(wanted.settings, Folder(folder))
    result = start(wanted, Folder(folder), overrides, lambda run: watching)
    if result.error is not None:
        raise result.error
    return result


def resume(folder: str | Path, *overrides: str, watching: Sequence[Callback] = ()) -> Result:
    """Go on with an interrupted or failed run from its last checkpoint, in the same MLflow run.

    `epochs=N` makes it longer, also when it is finished.

    Raises:
        ConfigError: not the folder of a run, a run that is finished or under way, or one that can't be made longer.
        WeftError: it failed again.
    """
    result = resumed(folder, overrides, lambda run: watching)
    if result.error is not None:
        raise result.error
    return result


def resumed(folder: str | Path, overrides: Sequence[str], watching: Callable[[Run], Sequence[Callback]]) -> Result:
    """Do what `resume` does; every end is a result."""
    there = Folder(Path(folder))
    tree = there.read_config()
    if (original := journal.original(there.path)) is not None:
        raise ConfigError(f"{folder}: is a copy of {original}, whose run it is: go on there")
    planned = compose.checked(tree).settings.epochs
    for override in overrides:
        name, _, value = override.partition("=")
        if name != "epochs":
            raise ConfigError(f"{override}: a run goes on as it was; only epochs=N can change")
        tree[name] = value
    wanted = compose.checked(tree)
    if overrides:
        _check_longer(wanted, there, planned)
    elif there.record().get("status") == "FINISHED":
        raise ConfigError(f"{folder}: is finished; epochs=N makes it longer")
    destination.check_uri(wanted.settings.store)
    return start(wanted, there, overrides, watching, resume=True)


def _check_longer(wanted: Configuration, folder: Folder, planned: int) -> None:
    """Refuse to lengthen what would not be the run that it would have been from the start."""
    done = int(folder.record().get("epoch", 0))
    if wanted.settings.steps is not None:
        raise ConfigError(f"epochs: this run ends by steps={wanted.settings.steps}")
    if wanted.settings.epochs <= done:
        raise ConfigError(f"epochs: {wanted.settings.epochs} is no more than the {done} that are done")
    if wanted.settings.epochs < planned:
        raise ConfigError(f"epochs: {wanted.settings.epochs} is less than the {planned} that the run is to have")
    for part in wanted.parts["scheduler"]:
        if "total_steps" in part.component.supplied:
            raise ConfigError(f"epochs: {part} follows from the run's length, and has come to its end; start a new run")


def start(
    wanted: Configuration,
    folder: Folder,
    overrides: Sequence[str],
    watching: Callable[[Run], Sequence[Callback]],
    resume: bool = False,
) -> Result:
    """Prepare a checked configuration and execute it in its folder."""
    tracker = destination.tracker(wanted.settings, folder)
    prepared = prepare(wanted, catalog())
    return execute(prepared, folder, tracker, overrides, watching(prepared), resume)


def load(run: str | Path, uri: str | None = None, weights: str | None = None) -> nn.Module:
    """Return a run's model, on the CPU, in evaluation mode: the same outputs, bit for bit.

    Args:
        run: an MLflow run id, or a run's folder.
        uri: the store that the id is of; else `MLFLOW_TRACKING_URI`, else `sqlite:///runs/mlflow.db`.
        weights: `best` or `last`; by default those that the run was tested with (`test_weights`).

    Raises:
        ConfigError: no such run, or no model in it.
        PluginError: the model's plugin isn't installed.
    """
    with saved.located(run, _store(uri)) as folder:
        return saved.read(folder, weights)


def evaluate(run: str | Path, *overrides: str, uri: str | None = None) -> dict[str, float]:
    """Return the scores of a run's model on its test split, as `weft evaluate RUN OVERRIDES…` does; with nothing overridden,
    the run's own.

    Args:
        run: an MLflow run id, or a run's folder.
        overrides: of the data, the loss, the metrics and the arithmetic, such as `"dataset.path=new.csv"`,
            `"metric=[accuracy,f1]"`, `"device=cpu"`; or `"weights=last"`.
        uri: the store that the id is of; else `MLFLOW_TRACKING_URI`, else `sqlite:///runs/mlflow.db`.

    Raises:
        ConfigError: no such run, or no model in it; an override of something else; data that doesn't fit the model.
        PluginError: the plugin of a part isn't installed.
    """
    return dict(evaluation.evaluate(run, overrides, _store(uri)).scores)


def _store(uri: str | None) -> str:
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or Settings().store
