"""What every test can ask for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from weft.catalog import catalog

ROOT = Path(__file__).parent.parent


def pytest_configure() -> None:
    """Let child processes take Ctrl-C: they inherit that a shell ignores it for what it starts in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none, and say so. What is one long file goes first: last, it would be alone."""
    import torch

    items.sort(key=lambda item: item.path.name != "test_documentation.py")
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


@pytest.fixture(scope="session", autouse=True)
def _own_schemes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """weft's schemes for MLflow, also where the installation is older than pyproject.toml, here and in child processes."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    groups = {group: names for group, names in asked.items() if group.startswith("mlflow.")}
    if all(set(names) <= entry_points(group=group).names for group, names in groups.items()):
        yield
        return
    site = tmp_path_factory.mktemp("schemes")
    info = site / "weft_schemes-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weft-schemes\nVersion: 0\n")
    lines = [line for group, names in groups.items() for line in (f"[{group}]", *(f"{n} = {to}" for n, to in names.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(site)])))
        yield


def put(
    place: Path,
    distribution: str,
    module: str,
    source: str,
    version: str = "0.1",
    entry: str | None = None,
    requires: Iterable[str] = (),
) -> None:
    """Install a distribution of one module in a folder, as pip leaves it: with its metadata and its entry point."""
    (place / f"{module}.py").write_text(textwrap.dedent(source))
    info = place / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    (info / "entry_points.txt").write_text(f"[weft]\n{entry or module} = {module}\n")


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution for this test: `install("weft-leaky", "my_leaky", source, requires=["weft>=0.1"])`."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))

    def installed(distribution: str, module: str, source: str, **more: Any) -> None:
        put(place, distribution, module, source, **more)
        catalog.cache_clear()

    yield installed
    catalog.cache_clear()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    make = "import sys; from weft.telemetry import store; store.opened(sys.argv[1])"
    subprocess.run([sys.executable, "-W", "ignore", "-c", make, f"sqlite:///{path}"], check=True)
    return path
