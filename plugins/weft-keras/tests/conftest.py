"""What every test can ask for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

Weft = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A catalog cache of this session's own, shared by its child processes; no MLflow variable from outside."""
    with pytest.MonkeyPatch.context() as patch:
        if "WEFT_CACHE" not in os.environ:
            patch.setenv("WEFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "WEFT_PLUGINS", "KERAS_BACKEND"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def weft_command(tmp_path: Path) -> Weft:
    """Run weft's command in a process of its own, in an empty folder: `weft_command("run", "model=keras_mlp")`. What it tracks
    goes to that folder."""

    def run(*arguments: str, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "weft.cli", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=300,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run
