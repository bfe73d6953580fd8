"""`hydra/launcher=slots` in any Hydra app: Hydra's own suites for launchers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite
from hydra.test_utils.test_utils import TSweepRunner

from weft.sweep.launching import JobError

pytestmark = pytest.mark.integration


def test_hydra_finds_it() -> None:
    assert "SlotsLauncher" in [plugin.__name__ for plugin in Plugins.instance().discover(Launcher)]


@pytest.mark.parametrize(("launcher_name", "overrides"), [("slots", ["hydra.launcher.slots=2"])])
class TestSlots(LauncherTestSuite):
    """Hydra's suite."""


@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [("slots", ["hydra.launcher.slots=2", "hydra/sweeper=basic", "hydra.sweeper.max_batch_size=2"])],
)
class TestBatches(BatchedSweeperTestSuite):
    """Hydra's suite, the jobs given in batches."""


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [({}, ["-m", "hydra/launcher=slots", "hydra.launcher.slots=2", "hydra.job.chdir=true"])],
)
class TestIntegration(IntegrationTestSuite):
    """Hydra's suite, with programs of their own."""


def _end(config: Any) -> None:
    if config.a == 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    (Path(HydraConfig.get().runtime.output_dir) / "done").touch()
    if config.a == 1:
        raise ValueError("not this one")


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [("0,2", JobError, "job #0: its process was ended by SIGSEGV"), ("1,2", ValueError, "not this one")],
)
def test_a_job_that_fails_is_the_only_one(
    hydra_sweep_runner: TSweepRunner, tmp_path: Path, values: str, error: type[Exception], message: str
) -> None:
    sweep = hydra_sweep_runner(
        calling_file=None,
        calling_module="hydra.test_utils.a_module",
        task_function=_end,
        config_path="configs",
        config_name="compose",
        overrides=["hydra/launcher=slots", "hydra.launcher.slots=1", "hydra.job.chdir=false", f"+a={values}"],
        temp_dir=tmp_path,
    )
    with pytest.raises(error, match=message), sweep:
        pytest.fail("Hydra's sweeper raises what a job has raised, when all are done")
    assert (tmp_path / "1" / "done").exists()
