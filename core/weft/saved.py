"""A trained model as files: what it is made of, and its weights. Reading them runs no code but the model's own class."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from weft import __version__, configuration
from weft.build import build
from weft.catalog import catalog
from weft.checkpoint import write_atomically
from weft.errors import ConfigError
from weft.folder import MODEL
from weft.randomness import kept_randomness
from weft.state import Run

DESCRIPTION = "model.json"
WEIGHTS = ("best", "last")


def write(folder: Path, run: Run) -> None:
    """Write the model's description, its last weights and its best."""
    part = run.configuration.one("model")
    plugin = part.component.plugin
    description = {
        "weft": __version__,
        "model": part.tree(),
        "supplied": {**run.data.supplied, "inputs": list(run.data.inputs)},
        "dtype": str(run.device.dtype).removeprefix("torch."),
        "plugin": {"distribution": plugin.distribution, "version": plugin.version, "path": part.component.path},
        "best": {
            "epoch": run.best.epoch,
            "step": run.best.step,
            "objective": str(run.objective),
            "score": run.best.score,
        },
    }
    last = run.model.state_dict()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1))
    for name, weights in (("last", last), ("best", run.best.weights or last)):
        write_atomically(folder / f"{name}.safetensors", save(_separate(weights)))


@contextlib.contextmanager
def located(run: str | Path, uri: str) -> Iterator[Path]:
    """Give the folder of a run's model: the run is named by its folder, or by its id in the store at `uri`.

    Raises:
        ConfigError: there is no such run.
    """
    folder = Path(run)
    for place in (folder / MODEL, folder):
        if (place / DESCRIPTION).is_file():
            yield place
            return
    if folder.exists() or len(folder.parts) != 1:
        raise ConfigError(f"{run}: holds no model; give the folder of a finished run, or its MLflow run id")
    from weft.telemetry.store import download

    with tempfile.TemporaryDirectory(prefix="weft-") as scratch:
        try:
            found = download(str(run), uri, MODEL, Path(scratch))
        except ConfigError as error:
            raise ConfigError(f"{str(run)!r} is no run's folder; as the id of a run: {error}") from None
        yield found


def read(folder: Path, weights: str = "best") -> nn.Module:
    """Return the model, on the CPU, in evaluation mode.

    Raises:
        ConfigError: the folder holds no model, or its weights don't fit it.
        PluginError: the model's plugin isn't installed any more.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
    except (FileNotFoundError, ValueError) as error:
        raise ConfigError(f"{folder}: holds no model ({error})") from None
    part = configuration.part("model", description["model"], catalog())
    supplied = {**description["supplied"], "inputs": tuple(description["supplied"]["inputs"])}
    with kept_randomness(torch.device("cpu")):
        model = build(part, catalog(), **supplied).to(getattr(torch, description["dtype"]))
    assert isinstance(model, nn.Module)
    put(model, read_weights(folder, weights), str(folder))
    return model.eval()


def read_weights(folder: Path, weights: str = "best") -> dict[str, Tensor]:
    """Return the weights alone, by name.

    Raises:
        ConfigError: they aren't there, or the file isn't one of safetensors.
    """
    if weights not in WEIGHTS:
        raise ConfigError(f"weights: {weights!r} is none of {', '.join(WEIGHTS)}")
    try:
        return load_file(folder / f"{weights}.safetensors")
    except (FileNotFoundError, SafetensorError) as error:
        raise ConfigError(f"{folder}: holds no {weights} weights ({error})") from None


def put(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Load weights into a model.

    Raises:
        ConfigError: other names or shapes; says which.
    """
    own = model.state_dict()
    differing = [f"{name} is {list(own[name].shape)} here" for name in own if name not in weights]
    differing += [f"{name} isn't here" for name in weights if name not in own]
    differing += [
        f"{name} is {list(weights[name].shape)} there, {list(own[name].shape)} here"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    if differing:
        raise ConfigError(f"the weights of {source} don't fit this model: {'; '.join(differing[:5])}")
    model.load_state_dict(dict(weights))


def _separate(weights: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return copies: safetensors refuses tensors that share memory, as tied weights do. What is no tensor stays behind."""
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
