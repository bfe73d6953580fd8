"""`hydra/sweeper=optuna` in any Hydra app, and in a sweep of weft's whose launcher takes batches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.test_utils.test_utils import TSweepRunner
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from weft import compose
from weft.sweep.search import Search, SearchOptions
from weft.sweep.searching import RESULTS
from weft.sweep.space import space

SWEEPER = ["hydra/sweeper=optuna", "hydra/launcher=basic", "hydra.job.chdir=false"]


def sphere(config: DictConfig) -> float:
    if config.get("error"):
        raise RuntimeError("not this one")
    return float(config.x**2)


def started(runner: TSweepRunner, folder: Path, overrides: list[str], task: Any = sphere) -> Any:
    return runner(
        calling_file=None,
        calling_module="hydra.test_utils.a_module",
        task_function=task,
        config_path="configs",
        config_name="compose.yaml",
        overrides=[*SWEEPER, *overrides],
        temp_dir=folder,
    )


def test_hydra_finds_it() -> None:
    assert "OptunaSweeper" in [plugin.__name__ for plugin in Plugins.instance().discover(Sweeper)]


def test_its_options_are_those_of_a_search() -> None:
    node = ConfigStore.instance().load("hydra/sweeper/optuna.yaml").node
    given = OmegaConf.to_container(node)
    assert isinstance(given, dict)
    assert SearchOptions.read({str(key): value for key, value in given.items()}) == SearchOptions()


def test_jobs_are_launched(hydra_sweep_runner: TSweepRunner, tmp_path: Path) -> None:
    sweep = started(hydra_sweep_runner, tmp_path, ["hydra.sweeper.n_trials=8", "hydra.sweeper.n_jobs=3"], task=None)
    with sweep:
        assert sweep.returns is None  # as with Hydra's own
        assert (tmp_path / "7").exists()


@pytest.mark.parametrize("by_command_line", [True, False])
def test_the_best_is_written(hydra_sweep_runner: TSweepRunner, tmp_path: Path, by_command_line: bool) -> None:
    params = ["+hydra.sweeper.params.foo='interval(-5.5,5.5)'", "+hydra.sweeper.params.bar='choice(-5,0,5)'"]
    swept = ["foo=choice(0,1,2)", "bar=0"] if by_command_line else []
    options = ["hydra.sweeper.n_trials=20", "hydra.sweeper.n_jobs=1", "hydra.sweeper.seed=123"]
    with started(
        hydra_sweep_runner, tmp_path, [*params, *options, *swept], lambda config: float(config.foo**2 + config.bar**2)
    ):
        found = OmegaConf.load(tmp_path / RESULTS)
        folders = sorted(int(folder.name) for folder in tmp_path.iterdir() if folder.is_dir())
    assert isinstance(found, DictConfig)
    assert found.name == "optuna"
    best = found.best_params
    assert ("bar" in best) is not by_command_line
    assert found.best_value == best.foo**2 + best.get("bar", 0) ** 2
    assert found.best_value <= 2.27  # the bound of Hydra's own test
    assert folders == [*range(20)]


@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_a_failed_job_ends_nothing_unless_asked_to(hydra_sweep_runner: TSweepRunner, tmp_path: Path, rate: float) -> None:
    options = ["hydra.sweeper.n_trials=4", f"hydra.sweeper.max_failure_rate={rate}", "+x=interval(0,1)", "+error=true"]
    if rate < 1.0:
        with pytest.raises(RuntimeError, match="not this one"), started(hydra_sweep_runner, tmp_path, options):
            pytest.fail("the sweep goes on")
        assert not (tmp_path / "2").exists()
    else:
        with started(hydra_sweep_runner, tmp_path, options):
            assert (tmp_path / "3").exists()
            assert not (tmp_path / RESULTS).exists()


@pytest.mark.parametrize("returned", [None, "many", float("nan")])
def test_what_is_no_number_is_a_failure(hydra_sweep_runner: TSweepRunner, tmp_path: Path, returned: object) -> None:
    options = ["hydra.sweeper.n_trials=2", "hydra.sweeper.max_failure_rate=0", "+x=interval(0,1)"]
    sweep = started(hydra_sweep_runner, tmp_path, options, lambda _: returned)
    with pytest.raises(ValueError, match=r"the value to optimize is a (finite )?number; it returned"), sweep:
        pytest.fail("the sweep goes on")


def test_a_sweep_goes_on(hydra_sweep_runner: TSweepRunner, tmp_path: Path) -> None:
    found = Search(tmp_path, space(["+x=interval(0,1)"]), SearchOptions(n_trials=6))
    for _ in range(3):
        proposal = found.ask()
        assert proposal is not None
    found.tell(0, 0.5)
    with started(hydra_sweep_runner, tmp_path, ["+x=interval(0,1)", "hydra.sweeper.n_trials=6"]):
        trials = found.study.trials
        folders = sorted(int(folder.name) for folder in tmp_path.iterdir() if folder.is_dir())
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "FAIL", *["COMPLETE"] * 5]
    assert [trials[number].params for number in (3, 4)] == [trials[number].params for number in (1, 2)]
    assert folders == [3, 4, 5, 6, 7]


def test_a_sweep_of_wefts_searches_the_declared_ranges(tmp_path: Path) -> None:
    seen: list[tuple[str, float, int]] = []

    def task(config: DictConfig) -> float:
        seen.append((config.optimizer.name, config.optimizer.lr, config.model.width))
        return float(config.optimizer.lr)

    overrides = ["optimizer=adam,sgd", *SWEEPER, "hydra.sweeper.n_trials=6", f"hydra.sweep.dir={tmp_path}"]
    with compose.hydra_app() as hydra:
        compose.compose(hydra, overrides, RunMode.MULTIRUN)  # its guard lets the sweeper pass
        hydra.multirun(compose.CONFIG, task, [*overrides, "hydra.mode=MULTIRUN"])
    assert len({rate for _, rate, _ in seen}) == 6
    assert {name for name, _, _ in seen} == {"adam", "sgd"}
    assert len({width for _, _, width in seen}) > 1
    found = OmegaConf.load(tmp_path / RESULTS)
    assert isinstance(found, DictConfig)
    assert found.best_params["optimizer.lr"] == found.best_value == min(rate for _, rate, _ in seen)


@pytest.mark.integration
@pytest.mark.parametrize("arguments", [["run", "--help"], ["run", "--cfg", "job"], ["run", "-m", "--cfg", "hydra"]])
def test_optuna_is_imported_for_a_search_alone(arguments: list[str], tmp_path: Path) -> None:
    script = (
        "import sys; from weft.cli import commands; "
        f"commands.main({arguments!r}, standalone_mode=False); sys.exit('optuna' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
