"""The model in MLflow: its entry, made once whatever happens; loaded and served by MLflow's own means."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

import weft
from tests.core.telemetry.conftest import Client
from weft import catalog as catalog_module
from weft.catalog import catalog
from weft.errors import TrackingError
from weft.pyfunc import _load_pyfunc
from weft.telemetry import model_entry
from weft.telemetry.store import SETTINGS

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def _pyfunc() -> None:
    """MLflow warns of its own type hints when this is imported first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.pyfunc  # noqa: F401


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, template: Path) -> weft.Result:
    """A run of a CNN, recorded and registered as `digits`."""
    runs = tmp_path_factory.mktemp("runs")
    shutil.copy(template, runs / "mlflow.db")
    return weft.run(f"runs={runs}", "model=cnn", "epochs=1", "tracking.register=digits")


@pytest.fixture(scope="module")
def uri(trained: weft.Result) -> str:
    return f"sqlite:///{trained.folder.parents[1]}/mlflow.db"


@pytest.fixture
def elsewhere(store: str, client: Client, tmp_path: Path) -> tuple[MlflowClient, str]:
    """Another store, and a run in it that has scores but no model."""
    reader = client(store)
    experiment = reader.create_experiment("weft", (tmp_path / "artifacts").as_uri())
    run_id = reader.create_run(experiment).info.run_id
    reader.log_metric(run_id, "test/loss", 0.7, timestamp=500, step=10)  # of an end before it went on
    for key, value in {"test/loss": 0.5, "best/valid/loss": 0.25, "train/loss": 0.1, "test/r2": float("nan")}.items():
        reader.log_metric(run_id, key, value, timestamp=1_000, step=20)
    return reader, run_id


def entries(client: MlflowClient, run_id: str) -> list[Any]:
    experiment = client.get_run(run_id).info.experiment_id
    return [entry for entry in client.search_logged_models([experiment]) if entry.source_run_id == run_id]


def state(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """Return all that there is of a run's model in a store, but for ids, times and orders."""
    found = entries(client, run_id)
    versions = client.search_model_versions(f"run_id = '{run_id}'")
    places = {entry.artifact_location for entry in found}
    place = {entry.model_id: Path(entry.artifact_location.removeprefix("file://")) for entry in found}
    return {
        "entries": [(entry.name, str(entry.status), sorted(entry.tags), len(entry.params)) for entry in found],
        "files": [sorted(file.name for file in place[entry.model_id].iterdir()) for entry in found],
        "linked": [output.model_id in place for output in client.get_run(run_id).outputs.model_outputs],
        "scores": [sorted((metric.key, metric.value, metric.step) for metric in entry.metrics or []) for entry in found],
        "versions": [(version.name, int(version.version), version.source in places) for version in versions],
        "in the page": [json.loads(entry.tags.get("mlflow.modelVersions", "[]")) for entry in found],
        "points": len(client.get_metric_history(run_id, "test/loss")),
    }


def test_a_run_leaves_an_entry_and_a_version(trained: weft.Result, uri: str, client: Client) -> None:
    reader = client(uri)
    (entry,) = entries(reader, trained.run_id)
    run = reader.get_run(trained.run_id)
    assert (entry.name, str(entry.status), entry.model_type) == ("model", "READY", "classification")
    assert entry.params == run.data.params
    scores = {metric.key: metric.value for metric in entry.metrics}
    assert scores["test/accuracy"] == trained.scores["test/accuracy"]
    assert scores["best/valid/loss"] == trained.scores["valid/loss"]
    assert run.outputs is not None
    assert [(output.model_id, output.step) for output in run.outputs.model_outputs] == [(entry.model_id, 20)]
    (version,) = reader.search_model_versions("name = 'digits'")
    assert (version.run_id, version.source, version.status) == (trained.run_id, entry.artifact_location, "READY")
    assert json.loads(entry.tags["mlflow.modelVersions"]) == [{"name": "digits", "version": 1}]


def test_it_holds_what_mlflow_needs_and_the_weights_once(trained: weft.Result, uri: str, client: Client) -> None:
    (entry,) = entries(client(uri), trained.run_id)
    place = Path(entry.artifact_location.removeprefix("file://"))
    assert sorted(file.name for file in place.iterdir()) == [
        *("MLmodel", "best.safetensors", "conda.yaml", "last.safetensors", "model.json", "python_env.yaml"),
        "requirements.txt",
    ]
    stored = [*trained.folder.parents[1].joinpath("artifacts").rglob("best.safetensors")]
    assert stored == [place / "best.safetensors"]
    about = yaml.safe_load((place / "MLmodel").read_text())
    assert about["flavors"]["python_function"]["loader_module"] == "weft.pyfunc"
    assert about["model_size_bytes"] == sum(
        (place / name).stat().st_size for name in ("best.safetensors", "last.safetensors", "model.json")
    )
    tensors = {name: json.loads(about["signature"][name]) for name in ("inputs", "outputs")}
    assert tensors["inputs"] == [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 1, 8, 8]}}]
    assert tensors["outputs"] == [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 10]}}]
    needed = (place / "requirements.txt").read_text().splitlines()
    assert needed[0].startswith("mlflow==")
    assert needed[1].startswith("weft")
    assert needed[2:] == [
        f"torch=={torch.__version__.partition('+')[0]}",
        f"numpy=={np.__version__}",
        f"safetensors=={json.loads((place / 'model.json').read_text())['requirements'][3].partition('==')[2]}",
    ]


def test_mlflow_loads_the_model_that_weft_loads(trained: weft.Result, uri: str, client: Client, tmp_path: Path) -> None:
    """By each of its names, in a process that goes by the store; torch reads no pickle there."""
    source = """
        import sys, numpy, torch, mlflow, weft
        torch.load = None
        inputs = numpy.random.default_rng(0).random((5, 1, 8, 8), dtype="float32")
        with torch.no_grad():
            expected = weft.load(sys.argv[1])(torch.from_numpy(inputs)).numpy()
        for name in sys.argv[2:]:
            model = mlflow.pyfunc.load_model(name)
            found = model.predict(inputs)
            assert type(found) is numpy.ndarray and found.dtype == numpy.float32 and found.shape == (5, 10)
            assert (found == expected).all(), name
            try:
                model.predict(inputs[:, :, :7])
            except mlflow.exceptions.MlflowException as error:
                assert "(-1, 1, 8, 8)" in str(error)
            else:
                raise AssertionError("the signature says which shape it takes")
    """
    (entry,) = entries(client(uri), trained.run_id)
    names = [f"models:/{entry.model_id}", f"runs:/{trained.run_id}/model", "models:/digits/1"]
    environment = {**os.environ, **SETTINGS, "MLFLOW_TRACKING_URI": uri}
    lines = "\n".join(line.strip() if line.startswith("        import") else line[8:] for line in source.splitlines())
    command = [sys.executable, "-c", lines, trained.run_id, *names]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_weft_load_leaves_mlflow_s_own_state_alone(
    trained: weft.Result, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    inputs = torch.rand(3, 1, 8, 8)
    assert trained.model is not None
    with torch.no_grad():
        assert torch.equal(weft.load(trained.run_id, uri)(inputs), trained.model(inputs))
    assert mlflow.get_tracking_uri() == before
    assert list(tmp_path.iterdir()) == [], "MLflow makes a store where it looks for a model by itself"


def test_an_entry_that_is_incomplete_or_deleted_is_not_read(
    trained: weft.Result, elsewhere: tuple[MlflowClient, str], store: str
) -> None:
    reader, run_id = elsewhere
    with pytest.raises(weft.ConfigError, match=f"run {run_id} in sqlite.*: has no 'model'"):
        weft.load(run_id, store)
    experiment = reader.get_run(run_id).info.experiment_id
    reader.create_logged_model(experiment, "model", run_id, tags={"weft.key": "half of one"})
    with pytest.raises(weft.ConfigError, match="has no 'model'"):
        weft.load(run_id, store)
    model_id = model_entry.record(reader, run_id, trained.folder / "model")
    reader.create_logged_model(experiment, "model", run_id, tags={"weft.key": "half of one more"})
    weft.load(run_id, store)
    assert model_id is not None
    reader.delete_logged_model(model_id)
    with pytest.raises(weft.ConfigError, match="has no 'model'"):
        weft.load(run_id, store)


@pytest.mark.parametrize("name", ["digits", "Fraud (2024)", "größe.v2", "a" * 250, " x"])
def test_names_that_a_registered_model_can_have(name: str, elsewhere: tuple[MlflowClient, str]) -> None:
    from weft.configuration import _REGISTERED

    assert _REGISTERED.fullmatch(name)
    elsewhere[0].create_registered_model(name)


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:1", ".", "..", "..a"])
def test_names_that_mlflow_would_refuse(name: str, elsewhere: tuple[MlflowClient, str]) -> None:
    from mlflow.exceptions import MlflowException

    from weft.configuration import _REGISTERED

    assert not _REGISTERED.fullmatch(name)
    with pytest.raises(MlflowException):
        elsewhere[0].create_registered_model(name)


def test_scores_of_the_best_epoch_are_not_its_last_weights(
    trained: weft.Result, elsewhere: tuple[MlflowClient, str], tmp_path: Path
) -> None:
    reader, run_id = elsewhere
    folder = Path(shutil.copytree(trained.folder / "model", tmp_path / "model"))
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**description, "weights": "last"}))
    model_entry.record(reader, run_id, folder)
    assert state(reader, run_id)["scores"] == [[("test/loss", 0.5, 20)]]


def test_made_again_it_is_the_same_entry(trained: weft.Result, elsewhere: tuple[MlflowClient, str]) -> None:
    reader, run_id = elsewhere
    first = model_entry.record(reader, run_id, trained.folder / "model", "digits")
    once = state(reader, run_id)
    assert once["scores"] == [[("best/valid/loss", 0.25, 20), ("test/loss", 0.5, 20)]]
    assert once["versions"] == [("digits", 1, True)]
    assert once["in the page"] == [[{"name": "digits", "version": 1}]]
    assert model_entry.record(reader, run_id, trained.folder / "model", "digits") == first
    assert state(reader, run_id) == once
    model_entry.record(reader, run_id, trained.folder / "model", "others")
    both = state(reader, run_id)
    assert sorted(both["versions"]) == [("digits", 1, True), ("others", 1, True)]
    assert len(both["in the page"][0]) == 2
    assert {**both, "versions": 0, "in the page": 0} == {**once, "versions": 0, "in the page": 0}


STEPS = [
    *("create_logged_model", "log_artifacts", "finalize_logged_model", "log_outputs", "log_batch"),
    *("create_registered_model", "create_model_version", "set_logged_model_tags"),
]


class Crash(Exception):
    """The process dies here."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_is_made_good_by_the_next_time(
    trained: weft.Result, elsewhere: tuple[MlflowClient, str], monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    reader, run_id = elsewhere
    owner = LocalArtifactRepository if step == "log_artifacts" else reader
    real: Callable[..., Any] = getattr(owner, step)

    def crash(*arguments: Any, **named: Any) -> Any:
        if when == "after":
            real(*arguments, **named)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, crash)
        with pytest.raises(Crash):
            model_entry.record(reader, run_id, trained.folder / "model", "digits")
    model_entry.record(reader, run_id, trained.folder / "model", "digits")
    assert state(reader, run_id) == {
        "entries": [("model", "READY", ["mlflow.modelVersions", "weft.best", "weft.key", "weft.version"], 0)],
        "files": [
            [
                *("MLmodel", "best.safetensors", "conda.yaml", "last.safetensors", "model.json", "python_env.yaml"),
                "requirements.txt",
            ]
        ],
        "linked": [True],
        "scores": [[("best/valid/loss", 0.25, 20), ("test/loss", 0.5, 20)]],
        "versions": [("digits", 1, True)],
        "in the page": [[{"name": "digits", "version": 1}]],
        "points": 2,
    }


def test_a_run_that_went_on_for_longer_has_another_entry(
    template: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from weft import api

    shutil.copy(template, tmp_path / "mlflow.db")
    first = weft.run(f"runs={tmp_path}", "dataset=iris", "model=linear", "epochs=1", "tracking.register=flowers")
    longer = api.resume(first.folder, "epochs=3")
    assert longer.run_id == first.run_id
    reader = client(f"sqlite:///{tmp_path}/mlflow.db")
    older, newer = sorted(entries(reader, first.run_id), key=lambda entry: entry.creation_timestamp)
    assert [version.version for version in reader.search_model_versions(order_by=["version_number"])] == [1, 2]
    inputs = torch.rand(4, 4)
    assert longer.model is not None
    assert first.model is not None
    with torch.no_grad():
        found = weft.load(first.run_id, f"sqlite:///{tmp_path}/mlflow.db")(inputs)
        assert torch.equal(found, longer.model(inputs))
        assert not torch.equal(found, first.model(inputs)), "the version that was registered first stays what it was"
    kept = _load_pyfunc(older.artifact_location.removeprefix("file://")).predict(inputs.numpy())
    assert np.array_equal(kept, first.model(inputs).detach().numpy())
    scores = [{m.key: m.value for m in entry.metrics}["test/loss"] for entry in (older, newer)]
    assert scores == [first.scores["test/loss"], longer.scores["test/loss"]]


def test_a_server_without_entries_has_the_model_in_the_run(
    trained: weft.Result, elsewhere: tuple[MlflowClient, str], store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND, PERMISSION_DENIED

    def unknown(*_: Any, **__: Any) -> None:
        raise MlflowException("no such path", ENDPOINT_NOT_FOUND)

    def forbidden(*_: Any, **__: Any) -> None:
        raise MlflowException("not yours", PERMISSION_DENIED)

    reader, run_id = elsewhere
    monkeypatch.setattr(MlflowClient, "search_logged_models", forbidden)
    with pytest.raises(MlflowException, match="not yours"):
        model_entry.record(reader, run_id, trained.folder / "model")
    with pytest.raises(weft.ConfigError, match=f"run {run_id} in sqlite.*: not yours"):
        weft.load(run_id, store)
    monkeypatch.setattr(MlflowClient, "search_logged_models", unknown)
    for _ in range(2):
        assert model_entry.record(reader, run_id, trained.folder / "model") is None
    inputs = torch.rand(3, 1, 8, 8)
    assert trained.model is not None
    with torch.no_grad():
        expected = trained.model(inputs)
        assert torch.equal(weft.load(run_id, store)(inputs), expected)
    place = reader.get_run(run_id).info.artifact_uri.removeprefix("file://")
    import mlflow

    assert np.array_equal(mlflow.pyfunc.load_model(f"{place}/model").predict(inputs.numpy()), expected.numpy())


def test_a_registry_that_refuses_is_told(
    trained: weft.Result, elsewhere: tuple[MlflowClient, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    def forbidden(*_: Any, **__: Any) -> None:
        raise MlflowException("not yours")

    reader, run_id = elsewhere
    monkeypatch.setattr(reader, "create_registered_model", forbidden)
    with pytest.raises(MlflowException, match="not yours"):
        model_entry.record(reader, run_id, trained.folder / "model", "digits")
    assert [str(entry.status) for entry in entries(reader, run_id)] == ["READY"], "the model itself is there"


def test_a_model_saved_before_signatures_were_noted(
    trained: weft.Result, elsewhere: tuple[MlflowClient, str], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained.folder / "model", folder)
    description = json.loads((folder / "model.json").read_text())
    for key in ("signature", "requirements", "dataset", "classes"):
        del description[key]
    (folder / "model.json").write_text(json.dumps(description))
    (folder / ".best.safetensors.half").write_bytes(b"what a crash left behind")
    reader, run_id = elsewhere
    model_entry.record(reader, run_id, folder)
    (entry,) = entries(reader, run_id)
    place = Path(entry.artifact_location.removeprefix("file://"))
    assert "signature" not in yaml.safe_load((place / "MLmodel").read_text())
    assert (place / "requirements.txt").read_text().splitlines()[1] == f"weft=={weft.__version__}"
    assert not (place / ".best.safetensors.half").exists()


def test_a_folder_that_changes_meanwhile_is_no_entry(
    trained: weft.Result, elsewhere: tuple[MlflowClient, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained.folder / "model", folder)
    reader, run_id = elsewhere
    real = LocalArtifactRepository.log_artifacts

    def change(*arguments: Any) -> None:
        real(*arguments)  # type: ignore[no-untyped-call]
        shutil.copy(folder / "model.json", folder / "best.safetensors")

    with monkeypatch.context() as patch:
        patch.setattr(LocalArtifactRepository, "log_artifacts", change)
        with pytest.raises(TrackingError, match="was written anew while it was read"):
            model_entry.record(reader, run_id, folder)
    assert entries(reader, run_id) == []
    shutil.copytree(trained.folder / "model", folder, dirs_exist_ok=True)
    model_entry.record(reader, run_id, folder)
    assert len(entries(reader, run_id)) == 1


class Sentences:
    """Tokens of a vocabulary of seven; the answer is the first one's parity."""

    task, inputs, outputs, vocabulary = "classification", (5,), 2, 7

    def __init__(self, split_seed: int):
        tokens = torch.randint(0, 7, (60, 5), generator=torch.Generator().manual_seed(split_seed))
        self.train = self.valid = self.test = tokens, tokens[:, 0] % 2


def test_tokens_and_other_precisions(template: Path, tmp_path: Path, client: Client) -> None:
    import mlflow

    shutil.copy(template, tmp_path / "mlflow.db")
    weft.register("dataset", Sentences)
    try:
        tokens = weft.run(f"runs={tmp_path}", "dataset=sentences", "model=rnn", "epochs=1")
    finally:
        catalog_module._local.clear()
        catalog.cache_clear()
    double = weft.run(f"runs={tmp_path}", "dataset=iris", "model=mlp", "precision=fp64", "epochs=1")
    draw = np.random.default_rng(0)
    for result, inputs, kind in (
        (tokens, draw.integers(0, 7, (4, 5)), np.float32),
        (double, draw.random((4, 4)), np.float64),
    ):
        assert result.model is not None
        with torch.no_grad():  # with gradients some processors run another kernel, which rounds otherwise
            expected = result.model(torch.from_numpy(inputs)).numpy()
        (entry,) = entries(client(f"sqlite:///{tmp_path}/mlflow.db"), result.run_id)
        model = mlflow.pyfunc.load_model(entry.artifact_location.removeprefix("file://"))
        found = model.predict(inputs)
        assert found.dtype == kind
        assert np.array_equal(found, expected)
    import pandas

    table = pandas.DataFrame(inputs)  # what the server makes of dataframe_split and of CSV
    assert np.array_equal(model.predict(table), expected)


def test_only_tensors_are_served_the_first_of_several() -> None:
    from weft.pyfunc import Predictor

    class Pair(torch.nn.Module):
        def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return inputs, 2 * inputs

    class Named(torch.nn.Module):
        def forward(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"found": inputs}

    assert Predictor(Pair()).predict([[1.0]]).tolist() == [[1.0]]
    with pytest.raises(TypeError, match="Named gives a dict; only tensors can be served"):
        Predictor(Named()).predict([[1.0]])


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes with a session of their own, which end with the test."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        if process.poll() is not None:
            continue
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ask(port: int, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Return the status and the answer of a server on this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def await_answer(process: subprocess.Popen[bytes], port: int, path: str, output: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if ask(port, "GET", path)[0] == 200:
                return
        except OSError:
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_mlflow_serves_it(trained: weft.Result, uri: str, tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    """The README's command, from a folder that knows nothing of the run."""
    port = free_port()
    output = tmp_path / "output"
    # MLflow looks for uvicorn on the path, as it is where the environment is activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-W", "ignore", "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--model-uri", f"runs:/{trained.run_id}/model", "--port", str(port)],
            cwd=tmp_path,
            env={**os.environ, **SETTINGS, "MLFLOW_TRACKING_URI": uri, "PATH": path},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started.append(process)
    await_answer(process, port, "/ping", output)
    inputs = np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32)
    status, answer = ask(port, "POST", "/invocations", {"inputs": inputs.tolist()})
    assert status == 200, answer
    with torch.no_grad():
        expected = weft.load(trained.run_id, uri)(torch.from_numpy(inputs)).numpy()
    assert np.array_equal(np.array(json.loads(answer)["predictions"], dtype=np.float32), expected)
    status, answer = ask(port, "POST", "/invocations", {"inputs": inputs[:, :, :7].tolist()})
    assert status == 400
    assert "(-1, 1, 8, 8)" in answer.decode()


def test_a_server_keeps_it_too(
    trained: weft.Result, store: str, client: Client, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """Artifacts go through the server; nothing is written but by it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    source = "import sys; from weft.telemetry.serving import serve; serve(sys.argv[1], '127.0.0.1', int(sys.argv[2]), print)"
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", source, store, str(port)], stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    started.append(process)
    await_answer(process, port, "/health", output)
    reader = client(url)
    run_id = reader.create_run(reader.create_experiment("weft")).info.run_id
    reader.log_metric(run_id, "test/loss", 0.5, step=20)
    first = model_entry.record(reader, run_id, trained.folder / "model", "digits")
    assert model_entry.record(reader, run_id, trained.folder / "model", "digits") == first
    (entry,) = entries(reader, run_id)
    assert entry.artifact_location.startswith("mlflow-artifacts:/")
    assert [(metric.key, metric.value) for metric in entry.metrics] == [("test/loss", 0.5)]
    assert len(reader.get_run(run_id).outputs.model_outputs) == 1
    (version,) = reader.search_model_versions("name = 'digits'")
    assert version.run_id == run_id
    assert json.loads(entry.tags["mlflow.modelVersions"]) == [{"name": "digits", "version": 1}]
    inputs = torch.rand(3, 1, 8, 8)
    assert trained.model is not None
    with torch.no_grad():
        assert torch.equal(weft.load(run_id, url)(inputs), trained.model(inputs))
