"""Sweeps from beginning to end: what is left out, what fails, what goes on, and what all of it says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from joblib.externals.loky import get_reusable_executor

from tests.command import call, own_process
from tests.conftest import Install
from tests.core.sweep.conftest import Weft, jobs, recorded, states
from tests.core.sweep.test_slots import is_gone, until
from weft import cli
from weft.catalog import catalog
from weft.errors import ConfigError, UnusableError, UserError
from weft.folder import Folder
from weft.sharing import Composed
from weft.sweep.ledger import State
from weft.sweep.multirun import sort_out
from weft.sweep.showing import titles

ACTS = ("none", "raise", "exit", "leave", "segv", "kill", "hang", "memory", "print", "child")


@pytest.mark.integration
@pytest.mark.usefixtures("rogue")
class TestJobsThatMisbehave:
    def test_each_is_alone_with_it_and_is_tried_again(self, here: Path, weft: Weft) -> None:
        done = weft(
            *("run", "-m", "dataset=iris", "model=rogue", f"model.act={','.join(ACTS)}", "epochs=15", "sweep.name=acts"),
            "hydra.launcher.timeout=10",
            check=1,
        )
        sweep = here / "runs" / "sweeps" / "acts"
        found = dict(zip(ACTS, jobs(sweep), strict=True))
        reasons = {
            "raise": "ValueError: a model of its own mind",
            "exit": "SystemExit: 3",
            "leave": "its process ended with exit code 0",
            "segv": "its process was ended by SIGSEGV",
            "kill": "its process was killed (SIGKILL), as happens when memory runs out",
            "hang": "took longer than 10 s",
        }
        failed = {act: job.reason for act, job in found.items() if job.state is State.FAILED}
        assert "can't allocate memory" in failed.pop("memory")
        assert failed == reasons
        assert {act for act, job in found.items() if job.state is State.FINISHED} == {"none", "print", "child"}
        for act, reason in reasons.items():
            number = found[act].number
            assert f"#{number} model.act={act}: FAILED: {reason}" in done.stdout
            assert f"repeat it: weft run dataset=iris model=rogue model.act={act} epochs=15" in done.stdout
            assert Folder(sweep / str(number)).record()["status"] == "FAILED"
        assert "ValueError: a model of its own mind" in (sweep / str(found["raise"].number) / "job.log").read_text()
        assert (sweep / str(found["print"].number) / "job.log").stat().st_size > 100 * 2**20
        assert until(lambda: is_gone(int((here / "child").read_text())))
        assert "go on with it: weft resume" in done.stdout or "resume" in done.stdout
        before = {run.data.tags["weft.folder"]: run for run in recorded(here)}
        assert len(before) == len(ACTS)
        assert {run.info.status for run in before.values()} == {"FINISHED", "FAILED"}

        (here / "cured").touch()
        again = weft("resume", "runs/sweeps/acts")
        assert "7 to try again, 3 done already" in again.stdout
        assert states(sweep) == ["finished"] * len(ACTS)
        after = {run.data.tags["weft.folder"]: run for run in recorded(here)}
        assert {folder: run.info.run_id for folder, run in after.items()} == {
            folder: run.info.run_id for folder, run in before.items()
        }
        assert {run.info.status for run in after.values()} == {"FINISHED"}
        assert {run.data.metrics["test/loss"] for run in after.values()} == {
            before[str(sweep / "0")].data.metrics["test/loss"]
        }, "all acts train the same model"

    def test_retries(self, here: Path, weft: Weft) -> None:
        done = weft(
            *("run", "-m", "dataset=iris", "model=rogue", "model.act=raise", "seed=0,1", "epochs=15", "sweep.name=acts"),
            "hydra.launcher.retries=2",
            check=1,
        )
        assert [job.attempts for job in jobs(here / "runs" / "sweeps" / "acts")] == [3, 3]
        assert done.stdout.count("FAILED") == 6 + done.stdout.count("FAILED │") + done.stdout.count(" failed ")


@pytest.mark.integration
class TestGrid:
    def test_what_does_not_fit_is_left_out_with_its_reason(self, here: Path, weft: Weft) -> None:
        grid = ("run", "-m", "dataset=digits,iris", "model=cnn,linear", "device=cpu,cuda:7", "epochs=1", "sweep.name=pairs")
        dry = weft(*grid, "--dry-run")
        assert "8 jobs: 3 to run, 5 skipped" in dry.stdout
        assert list(here.iterdir()) == []
        strict = weft(*grid, "sweep.strict=true", check=2)
        assert "error: sweep.strict: " in strict.stderr
        assert list(here.iterdir()) == []
        done = weft(*grid)
        assert "skip 4 jobs, dataset=digits,iris model=cnn,linear device=cuda:7: device: 'cuda:7' isn't there" in done.stdout
        assert "skip dataset=iris model=cnn device=cpu: model=cnn: cnn takes images of shape" in done.stdout
        sweep = here / "runs" / "sweeps" / "pairs"
        assert states(sweep).count("finished") == 3
        skipped = [job for job in jobs(sweep) if job.state is State.SKIPPED]
        assert len(skipped) == 5
        assert all(job.reason for job in skipped)
        assert not any((sweep / str(job.number)).exists() for job in skipped)
        assert len(recorded(here)) == 3
        assert "cnn takes images of shape" in (sweep / "summary" / "summary.md").read_text()

    def test_a_grid_in_which_nothing_works_is_a_mistake(self, here: Path, weft: Weft) -> None:
        done = weft("run", "-m", "dataset=iris", "model=cnn", "seed=0,1", check=2)
        assert "error: model=cnn: cnn takes images of shape" in done.stderr
        assert "no job is left to run" in done.stderr
        assert list(here.iterdir()) == []

    def test_a_sweep_grows(self, here: Path, weft: Weft) -> None:
        sweep = here / "runs" / "sweeps" / "grows"
        line = ("run", "-m", "dataset=iris", "model=linear", "epochs=2", "sweep.name=grows")
        weft(*line, "seed=0,1")
        before = {job.number: (job, (sweep / str(job.number) / "run.json").read_text()) for job in jobs(sweep)}
        done = weft(*line, "seed=0,1,2", "tags={a: b}", "observe.system=null")
        assert "3 jobs: 3 to run" in done.stdout, "what is observed is part of a job"
        done = weft(*line, "seed=2,1,0")
        assert "3 jobs: 1 to run, 2 done already" in done.stdout
        assert {number: (job, (sweep / str(number) / "run.json").read_text()) for number, (job, _) in before.items()} == before
        assert "3 done already" in weft(*line, "seed=0,1,2").stdout

    @pytest.mark.usefixtures("rogue")
    @pytest.mark.parametrize("launcher", ["basic", "joblib"])
    def test_other_launchers(self, here: Path, weft: Weft, launcher: str, capfd: pytest.CaptureFixture[str]) -> None:
        line = ("run", "-m", f"hydra/launcher={launcher}", "dataset=iris", "model=rogue", "epochs=15", "sweep.name=x")
        done = weft(*line, "model.act=none,raise,exit", check=1)
        sweep = here / "runs" / "sweeps" / "x"
        assert states(sweep) == ["finished", "failed", "failed"]
        said = done.stdout + capfd.readouterr().out  # joblib's processes say it themselves
        assert "repeat it: weft run dataset=iris model=rogue epochs=15 model.act=raise" in said
        assert sorted(run.info.status for run in recorded(here)) == ["FAILED", "FAILED", "FINISHED"]
        (here / "cured").touch()
        done = weft("resume", "runs/sweeps/x")
        assert "2 to try again, 1 done already" in done.stdout
        assert states(sweep) == ["finished"] * 3
        assert [run.info.status for run in recorded(here)] == ["FINISHED"] * 3
        get_reusable_executor().shutdown()

    def test_what_can_t_be_is_refused_and_writes_nothing(self, here: Path, weft: Weft) -> None:
        for line, message in (
            ("hydra.launcher.slots=0", "hydra.launcher.slots: 0 is out of range"),
            ("hydra.launcher.slots=two", "hydra.launcher.slots=two: Value 'two' of type 'str' could not be converted"),
            ("hydra.launcher.devices=[cuda:3]", "hydra.launcher.devices: 'cuda:3' isn't there; there are cpu"),
            ("hydra.launcher.devices=[]", "hydra.launcher.devices: [] is no place to compute on"),
            ("hydra.launcher.start=fork", "hydra.launcher.start: 'fork' is not one of forkserver, spawn"),
            ("hydra.sweep.subdir=x", "hydra.sweep.subdir: 'x': the folder of a job is its number"),
            ("sweep.strict=maybe", "sweep.strict: 'maybe' is not "),
            ("sweep.budget=3", "sweep.budget: 3 of what?"),
            ("sweep.compare=optimizer", "sweep.compare=optimizer: give each its budget"),
            ("hydra/sweeper=optuna hydra.sweeper.sampler=best", "hydra.sweeper.sampler: 'best' is not one of tpe, random"),
            ("hydra/sweeper=optuna hydra/launcher=basic", "hydra/launcher: hydra._internal"),
            ("hydra/sweeper=optuna sweep.compare=model sweep.budget=3", "sweep.compare: model is not varied here"),
            ("hydra/sweeper=optuna seed=0,x", "seed: "),
            (
                "hydra/sweeper=optuna dataset=iris loss=cross_entropy,focal",
                "objective: valid/loss has another scale with each loss, and this search varies loss (cross_entropy, ",
            ),
            ("hydra/sweeper=optuna dataset=iris model=cnn,mpl", "model"),
        ):
            with pytest.raises(UserError) as caught:
                cli.commands.main(["run", "-m", "model=linear", "seed=0,1", *line.split()], standalone_mode=False)
            assert caught.value.exit_code == 2
            assert str(caught.value).startswith(message)
            assert list(here.iterdir()) == [], line
        done = weft("run", "--dry-run", "model=linear", check=2)
        assert "--dry-run: shows what a sweep would run, add -m" in done.stderr

    def test_a_budget_of_jobs(self, here: Path, weft: Weft) -> None:
        done = weft(
            *("run", "-m", "dataset=iris", "model=linear", "epochs=1", "optimizer=sgd,adam", "optimizer.lr=0.1,0.01,0.001"),
            *("sweep.compare=optimizer", "sweep.budget=2", "sweep.name=b"),
        )
        assert "6 jobs: 4 to run, 2 skipped" in done.stdout
        found = [job.overrides for job in jobs(here / "runs" / "sweeps" / "b")]
        assert sum("optimizer=sgd" in overrides for overrides in found) == 2
        assert sum("optimizer=adam" in overrides for overrides in found) == 2

    @pytest.mark.usefixtures("rogue")
    def test_hydra_s_environment_of_a_job(self, here: Path, weft: Weft) -> None:
        weft("run", "-m", "dataset=iris", "model=rogue", "epochs=1", "seed=0,1", "+hydra.job.env_set.ROGUE=1", "sweep.name=e")
        logs = [(here / "runs" / "sweeps" / "e" / str(number) / "job.log").read_text() for number in range(2)]
        assert all("ROGUE=1" in log for log in logs)


@pytest.mark.integration
class TestChanges:
    def test_other_data_is_noticed(self, here: Path, weft: Weft) -> None:
        table = here / "table.csv"
        table.write_text("a,b,y\n" + "".join(f"{i % 7},{i % 5},{i % 2}\n" for i in range(60)))
        line = (
            "run",
            "-m",
            "dataset=csv",
            "dataset.path=table.csv",
            "dataset.target=y",
            "model=linear",
            "seed=0,1",
            "epochs=1",
        )
        weft(*line, "sweep.name=d")
        table.write_text("a,b,y\n" + "".join(f"{i % 7},{i % 3},{i % 2}\n" for i in range(60)))
        done = weft("resume", "runs/sweeps/d")
        assert "changed job 0: its data has changed (digest " in done.stdout
        assert "it is done anew, as job 2" in done.stdout
        sweep = here / "runs" / "sweeps" / "d"
        assert states(sweep) == ["superseded", "superseded", "finished", "finished"]
        assert len(json.loads((sweep / "summary" / "run.json").read_text())) > 1
        assert (sweep / "summary" / "jobs.csv").read_text().count("\n") == 3
        (here / "elsewhere").mkdir()
        assert "2 done already" in call("resume", "../runs/sweeps/d", folder=here / "elsewhere").stdout

    @pytest.mark.usefixtures("rogue")
    def test_other_code_and_another_version_are_noticed(self, here: Path, weft: Weft, tmp_path: Path) -> None:
        weft("run", "-m", "dataset=iris", "model=rogue", "seed=0,1", "epochs=1", "sweep.name=c")
        module = tmp_path / "site" / "rogue.py"
        module.write_text(module.read_text() + "\n# a change\n")
        done = weft("resume", "runs/sweeps/c")
        assert "changed the code of weft-rogue:rogue has changed since jobs of this sweep were done" in done.stdout
        assert "2 done already" in done.stdout
        info = tmp_path / "site" / "weft_rogue-0.1.dist-info"
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weft-rogue\nVersion: 0.2\n")
        info.rename(info.with_name("weft_rogue-0.2.dist-info"))
        done = weft("resume", "runs/sweeps/c")
        assert "its plugins have changed (" in done.stdout
        assert "weft-rogue 0.1" in done.stdout
        assert "2 to run" in done.stdout

    @pytest.mark.usefixtures("rogue")
    def test_a_folder_that_was_moved(self, here: Path, weft: Weft) -> None:
        weft("run", "-m", "dataset=iris", "model=rogue", "model.act=none,raise", "epochs=15", "sweep.name=m", check=1)
        (here / "cured").touch()
        (here / "runs" / "sweeps" / "m").rename(here / "moved")
        weft("resume", "moved")
        assert states(here / "moved") == ["finished", "finished"]
        assert not (here / "runs" / "sweeps" / "m").exists()
        assert sorted(run.info.status for run in recorded(here)) == ["FINISHED", "FINISHED"]


THREADED = """
    import queue, threading
    import torch
    from weft import hookimpl

    asked, answered = queue.Queue(), queue.Queue()

    def answer():
        while True:
            answered.put(asked.get().flatten(1))

    threading.Thread(target=answer, daemon=True).start()

    class Threaded(torch.nn.Linear):
        '''A linear model that has a thread do its work.'''

        def __init__(self, inputs: tuple[int, ...], outputs: int):
            super().__init__(torch.Size(inputs).numel(), outputs)

        def forward(self, inputs):
            asked.put(inputs)
            return super().forward(answered.get(timeout=10))

    @hookimpl
    def register_models(register):
        register(Threaded)
"""


@pytest.mark.integration
def test_a_plugin_that_starts_threads_as_it_is_imported_has_them_in_each_job(
    here: Path, weft: Weft, install_everywhere: Install
) -> None:
    """A fork has none of the server's threads: TensorFlow, imported and used there, would hang every job."""
    install_everywhere("weft-threaded", "threaded", THREADED)
    catalog()  # read now, so that the server knows the model in time
    weft("run", "-m", "dataset=iris", "model=threaded,linear", "epochs=1", "sweep.name=t")
    assert states(here / "runs" / "sweeps" / "t") == ["finished", "finished"]


def composed(*lines: str, error: type[UserError] = ConfigError) -> list[Composed]:
    """Jobs, of which those with a `!` could not be composed."""
    return [
        Composed(tuple(line.strip("!").split()), None, error("it can't be"))
        if line.endswith("!")
        else Composed(tuple(line.split()), object(), None)  # type: ignore[arg-type]
        for line in lines
    ]


class TestSortingOut:
    def test_pairs_that_do_not_fit_are_left_out(self) -> None:
        sound, refused = sort_out(composed("a=1 b=1", "a=1 b=2", "a=2 b=1", "a=2 b=2!"))
        assert [job.overrides for job in sound] == [("a=1", "b=1"), ("a=1", "b=2"), ("a=2", "b=1")]
        assert [(job.overrides, job.reason) for job in refused] == [(("a=2", "b=2"), "it can't be")]

    @pytest.mark.parametrize("lines", [["a=1 b=1", "a=2 b=1!"], ["a=1!"], ["a=1 b=1", "a=1 b=2!", "a=2 b=1!", "a=2 b=2!"]])
    def test_a_value_that_never_works_is_a_mistake(self, lines: list[str]) -> None:
        with pytest.raises(ConfigError, match="it can't be\nin the job a="):
            sort_out(composed(*lines))

    def test_a_component_that_can_t_be_used_stops_only_those_that_choose_it(self) -> None:
        sound, refused = sort_out(composed("a=1 b=1", "a=2 b=1!", error=UnusableError))
        assert [job.overrides for job in sound] == [("a=1", "b=1")]
        assert [job.overrides for job in refused] == [("a=2", "b=1")]
        with pytest.raises(UnusableError, match="it can't be\nin the job a=1"):
            sort_out(composed("a=1 b=1!", "a=2 b=1!", error=UnusableError))


@pytest.mark.integration
def test_a_mistake_waits_for_no_import(here: Path, weft: Weft, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server that jobs are forked from has what the command prints to, and would keep it open for as long as it imports."""
    weft("plugins")  # from now on the catalog is known without torch
    (here / "slow").mkdir()
    (here / "slow" / "torch.py").write_text("import time; time.sleep(1000)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, ["slow", os.environ.get("PYTHONPATH")])))
    assert "modle: no such key" in own_process("run", "-m", "modle=mlp", folder=here, check=2).stderr


def test_titles_say_what_is_special() -> None:
    assert titles([("a=1", "b=1", "sweep.name=x"), ("a=1", "b=2", "sweep.name=x")]) == ["b=1", "b=2"]
    assert titles([("a=1", "sweep.name=x")]) == ["a=1"]
    assert titles([("device=cuda\\:0",), ("device=cpu",)]) == ["device=cuda:0", "device=cpu"]
    assert titles([]) == []
