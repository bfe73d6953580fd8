"""What every test can ask for."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weft.catalog import catalog


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none, and say so."""
    import torch

    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A catalog cache of this session's own, shared by its child processes; no MLflow variable from outside."""
    with pytest.MonkeyPatch.context() as patch:
        if "WEFT_CACHE" not in os.environ:
            patch.setenv("WEFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "WEFT_PLUGINS"):
            patch.delenv(variable, raising=False)
        yield


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution for this test: `install("weft-leaky", "my_leaky", source, version="0.1")`."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))

    def put(distribution: str, module: str, source: str, version: str = "0.1", entry: str | None = None) -> None:
        (place / f"{module}.py").write_text(textwrap.dedent(source))
        info = place / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[weft]\n{entry or module} = {module}\n")
        catalog.cache_clear()

    yield put
    catalog.cache_clear()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    make = "import sys; from weft.telemetry import store; store.opened(sys.argv[1])"
    subprocess.run([sys.executable, "-W", "ignore", "-c", make, f"sqlite:///{path}"], check=True)
    return path
