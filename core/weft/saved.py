"""A trained model as files: what it is made of, and its weights. Reading them runs no code but the model's own class."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors import __version__ as safetensors_version
from safetensors.torch import load_file, save
from torch import Tensor, nn

from weft import __version__, configuration
from weft.build import build
from weft.catalog import LOCAL, Catalog, catalog
from weft.checkpoint import write_atomically
from weft.configuration import Part
from weft.errors import ConfigError
from weft.folder import DESCRIPTION, MODEL
from weft.randomness import kept_randomness
from weft.state import Run
from weft.telemetry.provenance import requirement
from weft.telemetry.redaction import redact

WEIGHTS = ("best", "last")


def write(folder: Path, run: Run) -> None:
    """Write the model's description, its last weights and its best."""
    part = run.configuration.one("model")
    plugin = part.component.plugin
    description = {
        "weft": __version__,
        "model": part.tree(),
        "supplied": {**run.data.supplied, "inputs": list(run.data.inputs)},
        "dtype": _name(run.device.dtype),
        "weights": run.configuration.settings.test_weights,
        "signature": _signature(run),
        "classes": list(run.data.classes),
        "tokens": list(run.data.tokens),
        "dataset": {"name": run.data.name, "source": redact("source", run.data.source), "digest": run.data.digest},
        "plugin": {"distribution": plugin.distribution, "version": plugin.version, "path": part.component.path},
        "requirements": _requirements(part),
        "step": run.step,
        "best": {
            "epoch": run.best.epoch,
            "step": run.best.step,
            "objective": str(run.objective),
            "score": run.best.score,
        },
    }
    last = run.model.state_dict()
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / DESCRIPTION, json.dumps(description, indent=1).encode())
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
    from weft.telemetry.model_entry import download

    with tempfile.TemporaryDirectory(prefix="weft-") as scratch:
        try:
            found = download(str(run), uri, Path(scratch))
        except ConfigError as error:
            raise ConfigError(f"{str(run)!r} is no run's folder; as the id of a run: {error}") from None
        yield found


def read(folder: Path, weights: str | None = None, offered: Catalog | None = None) -> nn.Module:
    """Return the model, on the CPU, in evaluation mode: with its best weights or its last, by default those it was tested with.
    It is of what is `offered`, by default of the process's catalog.

    Raises:
        ConfigError: the folder holds no model, or its weights don't fit it.
        PluginError: the model's plugin isn't installed any more.
    """
    description = describe(folder)
    offered = offered or catalog()
    part = configuration.part("model", description["model"], offered)
    supplied = {**description["supplied"], "inputs": tuple(description["supplied"]["inputs"])}
    with kept_randomness(torch.device("cpu")):
        model = build(part, offered, **supplied).to(getattr(torch, description["dtype"]))
    assert isinstance(model, nn.Module)
    put(model, read_weights(folder, weights), str(folder))
    return model.eval()


def describe(folder: Path) -> dict[str, Any]:
    """Return what a model is made of.

    Raises:
        ConfigError: the folder holds no model.
    """
    try:
        found = json.loads((folder / DESCRIPTION).read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: holds no model ({error})") from None
    assert isinstance(found, dict)
    return found


def tested(folder: Path) -> str:
    """Return which weights the run's test scores are of.

    Raises:
        ConfigError: the folder holds no model.
    """
    return str(describe(folder).get("weights", WEIGHTS[0]))


def read_weights(folder: Path, weights: str | None = None) -> dict[str, Tensor]:
    """Return the weights alone, by name; by default those that the run was tested with.

    Raises:
        ConfigError: they aren't there, or the file isn't one of safetensors.
    """
    weights = weights or tested(folder)
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


@torch.no_grad()
def _signature(run: Run) -> dict[str, Any]:
    """Return what goes in and comes out: types, and shapes in which -1 stands for the number of samples."""
    inputs = run.data.splits["train"][0][:2]
    outputs = run.model.eval()(inputs)
    return {
        name: {"dtype": _name(tensor.dtype), "shape": [-1, *tensor.shape[1:]]}
        for name, tensor in (("inputs", inputs), ("outputs", outputs))
        if isinstance(tensor, Tensor)
    }


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _requirements(part: Part) -> list[str]:
    """Return what a machine needs to build the model and to read its weights, as pip's requirements."""
    needed = {"weft": __version__, "torch": str(torch.__version__), "numpy": np.__version__, "safetensors": safetensors_version}
    needed |= {inner.component.plugin.distribution: inner.component.plugin.version for inner in part.inside()}
    return [requirement(name, version) for name, version in needed.items() if name != LOCAL.distribution]


def _separate(weights: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return copies: safetensors refuses tensors that share memory, as tied weights do. What is no tensor stays behind."""
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
