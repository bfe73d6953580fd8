"""A run's model as an entry of MLflow's Models tab, and as a version of a registered model.

The entry holds what a run keeps of its model (`model.json`, `best.safetensors`, `last.safetensors`) beside an MLmodel file that
has MLflow load it by `weft.pyfunc`: no pickle, and the weights are stored once. It is called `model`, so that it also goes by
`runs:/RUN_ID/model`. All of it may be done again: what is there already is found by the tag `weft.key`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from weft.errors import ConfigError, TrackingError
from weft.folder import DESCRIPTION, MODEL
from weft.telemetry.store import fetch, files, find_run, in_one_line, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

_LOADER = "weft.pyfunc"
_CONDA, _VIRTUALENV = "conda.yaml", "python_env.yaml"
_KEY = "weft.key"
_READY: Final = "READY"
_UNKNOWN = "ENDPOINT_NOT_FOUND"
"""What a server says of a request that it is too old for."""
_VERSIONS = "mlflow.modelVersions"
"""The tag by which MLflow's page knows which versions an entry is."""
_SHOWN = {"best": ("best/", "test/"), "last": ("test/",)}
"""The scores of a run that are its model's, by the weights that it was tested with."""


def record(client: MlflowClient, run_id: str, folder: Path, registered: str | None = None) -> str | None:
    """Make the entry of the model in a folder, linked to its run; return its id.

    A run that went on for longer and has other weights then has another entry. A server that is too old to have entries gets
    the same files as an artifact of the run; then there is no id.

    Args:
        client: of the run's store.
        run_id: of the run.
        folder: what `saved.write` wrote.
        registered: name of the registered model that this is to be a version of.

    Raises:
        MlflowException: what the store refuses, or that it is out of reach.
        OSError: a file can't be read, or not be written to where the store keeps artifacts.
        TrackingError: the folder was written anew meanwhile, by a run that goes on.
    """
    from mlflow.exceptions import MlflowException

    run = client.get_run(run_id)
    description = json.loads((folder / DESCRIPTION).read_text())
    key = _key(run_id, folder)
    try:
        entry = _found(client, run, key) or _made(client, run, key, description)
    except MlflowException as error:
        if error.error_code != _UNKNOWN:
            raise
        _keep_in_run(client, run, folder, description)
        return None
    model_id: str = entry.model_id
    if str(entry.status) != _READY:
        with _built(run_id, model_id, folder, description) as built:
            files(client, entry.artifact_location).log_artifacts(built)  # type: ignore[no-untyped-call]
        if _key(run_id, folder) != key:
            client.delete_logged_model(model_id)
            raise TrackingError(f"{folder}: was written anew while it was read")
        client.finalize_logged_model(model_id, _READY)
    _link(client, run, model_id, description)
    _score(client, run, model_id, description)
    if registered is not None:
        _register(client, run, entry, key, registered)
    return model_id


def download(run_id: str, uri: str, destination: Path) -> Path:
    """Copy a run's model to a destination, from its latest entry, or from the run where it has none; return where it is.

    Raises:
        ConfigError: the store or the run isn't there, or has no model.
    """
    client, run = find_run(run_id, uri)
    try:
        entry = _latest(client, run)
        root, path = (entry.artifact_location, "") if entry else (run.info.artifact_uri, MODEL)
        return fetch(client, root, path, destination)
    except ConfigError as error:
        raise ConfigError(f"run {run_id} in {shown(uri)}: {error}") from None


def _latest(client: MlflowClient, run: Run) -> LoggedModel | None:
    """Return the entry that was made last and is complete; None where there is none, or the server doesn't know what that is.

    Raises:
        ConfigError: the store is out of reach.
    """
    from mlflow.exceptions import MlflowException

    newest_first = [{"field_name": "creation_timestamp", "ascending": False}]
    try:
        found = client.search_logged_models(
            [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'", order_by=newest_first
        )
    except MlflowException as error:
        if error.error_code != _UNKNOWN:
            raise ConfigError(in_one_line(error)) from None
        return None
    return next((entry for entry in found if _KEY in entry.tags and str(entry.status) == _READY), None)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))


def _key(run_id: str, folder: Path) -> str:
    """Return what tells this model of this run from any other."""
    found = hashlib.sha256(run_id.encode())
    for file in _files(folder):
        with file.open("rb") as stream:
            found.update(f"\n{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}".encode())
    return found.hexdigest()[:32]


def _found(client: MlflowClient, run: Run, key: str) -> LoggedModel | None:
    found = client.search_logged_models([run.info.experiment_id], f"tags.`{_KEY}` = '{key}'", max_results=1)
    return found[0] if found else None


def _made(client: MlflowClient, run: Run, key: str, description: Mapping[str, Any]) -> LoggedModel:
    return client.create_logged_model(
        run.info.experiment_id,
        name=MODEL,
        source_run_id=run.info.run_id,
        tags={_KEY: key, "weft.version": description["weft"], "weft.best": json.dumps(description["best"])},
        params=dict(run.data.params),
        model_type=description["supplied"]["task"],
    )


@contextlib.contextmanager
def _built(run_id: str, model_id: str | None, folder: Path, description: Mapping[str, Any]) -> Iterator[str]:
    """Make a folder of all that an entry holds: what MLflow reads of a model, and links to the model itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's imports
        from mlflow import pyfunc
        from mlflow.models import Model

        about = Model(
            artifact_path=MODEL,
            run_id=run_id,
            model_id=model_id,
            model_uuid=model_id,
            signature=_signature(description.get("signature") or {}),
            model_size_bytes=sum(file.stat().st_size for file in _files(folder)),
        )
        pyfunc.add_to_model(about, loader_module=_LOADER, conda_env=_CONDA, python_env=_VIRTUALENV, streamable=False)
    with tempfile.TemporaryDirectory(prefix="weft-") as scratch:
        about.save(os.path.join(scratch, "MLmodel"))
        for name, text in _environment(tuple(description.get("requirements") or [f"weft=={description['weft']}"])).items():
            Path(scratch, name).write_text(text)
        for file in _files(folder):
            Path(scratch, file.name).symlink_to(file.absolute())
        yield scratch


@functools.cache
def _environment(requirements: tuple[str, ...]) -> Mapping[str, str]:
    """Return the files that tell of an environment, as MLflow's flavors write them. `pyfunc.save_model` would also look, each
    time, whether what is installed here fits: that is where they come from."""
    from mlflow import __version__
    from mlflow.utils.environment import _mlflow_conda_env, _PythonEnv

    pinned = [f"mlflow=={__version__}", *requirements]
    conda = _mlflow_conda_env(additional_pip_deps=pinned, install_mlflow=False)  # type: ignore[no-untyped-call]
    virtualenv = _PythonEnv.current().to_dict()  # type: ignore[no-untyped-call]
    return {
        _CONDA: yaml.safe_dump(conda, default_flow_style=False),
        _VIRTUALENV: yaml.safe_dump(virtualenv, sort_keys=False, default_flow_style=False),
        "requirements.txt": "\n".join(pinned),
    }


def _signature(given: Mapping[str, Any]) -> Any:
    """Return it in MLflow's terms; None for a model that was saved before weft noted one."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def schema(name: str) -> Schema | None:
        tensor = given.get(name)
        return tensor and Schema([TensorSpec(np.dtype(tensor["dtype"]), tuple(tensor["shape"]))])

    return ModelSignature(schema("inputs"), schema("outputs")) if given else None


def _keep_in_run(client: MlflowClient, run: Run, folder: Path, description: Mapping[str, Any]) -> None:
    with _built(run.info.run_id, None, folder, description) as built:
        files(client, run.info.artifact_uri).log_artifacts(built, MODEL)  # type: ignore[no-untyped-call]


def _link(client: MlflowClient, run: Run, model_id: str, description: Mapping[str, Any]) -> None:
    """Make it an output of the run. MLflow would take a second link beside the first."""
    from mlflow.entities import LoggedModelOutput

    if run.outputs is None or all(output.model_id != model_id for output in run.outputs.model_outputs):
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, description["best"]["step"])])


def _score(client: MlflowClient, run: Run, model_id: str, description: Mapping[str, Any]) -> None:
    """Give the entry the scores of the run that are the model's: those of the step at which it was saved."""
    from mlflow.entities import Metric

    metrics = []
    for latest in run.data.to_proto().metrics:  # with their steps, which `run.data.metrics` leaves out
        if latest.key.startswith(_SHOWN[description.get("weights", "best")]):
            step = description.get("step", latest.step)
            history = [latest] if latest.step == step else client.get_metric_history(run.info.run_id, latest.key)
            metrics += [
                Metric(latest.key, found.value, found.timestamp, found.step, model_id=model_id, run_id=run.info.run_id)
                for found in history
                if found.step == step and math.isfinite(found.value)  # NaN would be shown as 0
            ]
    if metrics:
        client.log_batch(run.info.run_id, metrics=metrics, synchronous=True)


def _register(client: MlflowClient, run: Run, entry: LoggedModel, key: str, name: str) -> None:
    """Make the entry a version of a registered model, once."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    known = client.search_model_versions(f"run_id = '{run.info.run_id}'")
    version = next((found for found in known if found.name == name and found.tags.get(_KEY) == key), None)
    if version is None:
        # Its place rather than models:/ID: MLflow would look that up in whatever store the process goes by.
        place = entry.artifact_location
        version = client.create_model_version(name, place, run.info.run_id, tags={_KEY: key}, model_id=entry.model_id)
    versions = json.loads(client.get_logged_model(entry.model_id).tags.get(_VERSIONS, "[]"))
    this = {"name": name, "version": int(version.version)}
    if this not in versions:  # a server enters it by itself
        client.set_logged_model_tags(entry.model_id, {_VERSIONS: json.dumps([*versions, this])})
