"""A saved run's model on its test split, or on other data. Nothing is written, and nothing recorded."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft import compose, configuration, loop, saved
from weft.catalog import catalog
from weft.data import Data
from weft.errors import ConfigError, did_you_mean
from weft.experiment import evaluated
from weft.folder import CONFIG, Folder
from weft.randomness import derived, kept_randomness, seed_everything
from weft.telemetry.redaction import REDACTED, redact

log = logging.getLogger("weft")

_DATA = ("dataset", "split_seed")
_SCORES = ("loss", "metric", "class_weights")
_ARITHMETIC = ("device", "precision", "threads", "compile", "deterministic")
_CHANGEABLE = (*_DATA, *_SCORES, *_ARITHMETIC, "weights")
_TRAINING = ("optimizer", "regularizer", "scheduler", "callback", "init_from", "parameter_groups")
"""What a config says of the training alone: whose plugins need not be there any more."""


@dataclass(frozen=True)
class Evaluation:
    """What came of it: the scores, as `test/loss`, `test/accuracy`, …; which weights these are of, on which data."""

    scores: Mapping[str, float]
    weights: str
    dataset: str
    samples: int


def evaluate(run: str | Path, overrides: Sequence[str], uri: str) -> Evaluation:
    """Evaluate a run's model on the test split. With nothing overridden these are the run's own scores, bit for bit on the
    device that it was trained on.

    Args:
        run: an id in the store at `uri`, or a run's folder.
        overrides: of the data, the loss, the metrics and the arithmetic, as for a run; or `weights=last`.

    Raises:
        ConfigError: no such run, or no model in it; an override of something else; data that doesn't fit the model.
        PluginError: the plugin of a part isn't installed.
    """
    weights, changes = _parted(overrides)
    with saved.located(run, uri) as folder:
        tree = compose.changed(_config(run, uri, folder), changes)
        _check_secrets({key: value for key, value in tree.items() if key in _CHANGEABLE})
        wanted = configuration.read(
            {key: value for key, value in tree.items() if key not in _TRAINING}, catalog(), required=("dataset", "model")
        )
        weights = weights or saved.tested(folder)
        subject = evaluated(wanted, folder, weights, catalog())
        _compare(subject.data, saved.describe(folder).get("dataset", {}), is_meant=any(map(_is_of_data, changes)))
    with subject.device.session(), kept_randomness(subject.device.device):
        seed_everything(derived(wanted.settings.seed, "evaluation"))
        scores = loop.evaluate(subject, "test")
    return Evaluation(scores, weights, subject.data.name, subject.data.sizes()["test"])


def _is_of_data(change: str) -> bool:
    return change.partition("=")[0].partition(".")[0] in _DATA


def _compare(data: Data, then: Mapping[str, str], is_meant: bool) -> None:
    """Say when the samples are not those that were kept for the test in training. What a run makes itself none were kept of."""
    if then.get("digest") in (None, data.digest):
        return
    if not is_meant:
        log.warning("dataset %s is not what it was when the model was trained", data.name)
    elif "train" in data.scored and then.get("source") == redact("source", data.source):
        log.warning("dataset %s is split otherwise than in training: the model may know some of these samples", data.name)


def _parted(overrides: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return which weights are asked for, and the overrides of the config.

    Raises:
        ConfigError: an override of what is settled once a model is trained.
    """
    weights: str | None = None
    changes = []
    for override in overrides:
        key, equals, value = override.partition("=")
        top = key.partition(".")[0]
        if top not in _CHANGEABLE or not equals:
            near = did_you_mean(top, _CHANGEABLE)
            raise ConfigError(f"{override}: is nothing that an evaluation can change{near}; {', '.join(_CHANGEABLE)} can")
        if key == "weights":
            weights = value
        else:
            changes.append(override)
    if weights is not None and weights not in saved.WEIGHTS:
        raise ConfigError(f"weights: {weights!r} is none of {', '.join(saved.WEIGHTS)}")
    return weights, changes


def _config(run: str | Path, uri: str, folder: Path) -> dict[str, Any]:
    """Return the config of the run that a model is of: it stands beside the model, or in the store."""
    if not Path(run).exists():
        from weft.telemetry.store import download

        download(str(run), uri, CONFIG, folder.parent)
    return Folder(folder.parent).read_config()


def _check_secrets(tree: Mapping[str, Any]) -> None:
    """Refuse to go by what stands in the place of a secret.

    Raises:
        ConfigError: names the place.
    """
    for place, value in _leaves(tree):
        if REDACTED in value:
            raise ConfigError(f"{place}: is a secret that was not recorded with the run; give it: {place}=…")


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a config, with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{place}[{index}]")
