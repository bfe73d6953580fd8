"""Whatever is killed at whatever point, a sweep that goes on ends with every job done once, and as if nothing had been."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.command import WEFT, call
from tests.core.sweep.conftest import Weft, recorded, states
from weft.folder import Folder
from weft.sweep.ledger import FILE

pytestmark = pytest.mark.integration

SWEEP = (
    *("run", "-m", "model=mlp,cnn", "optimizer=adam,sgd", "regularizer=[dropout]", "epochs=25", "sweep.name=s"),
    "hydra.launcher.slots=2",
)
"""Four jobs, of which some last for more than a second: long enough for a checkpoint."""

KILLED_AT = """
import os, sys
from weft.sweep.ledger import Ledger
from weft import cli

number, when = int(sys.argv[1]), sys.argv[2]
commits = 0
plan = Ledger.plan

def killed(self, jobs):
    global commits
    commits += 1
    if (commits, when) == (number, "before"):
        os.kill(os.getpid(), 9)
    plan(self, jobs)
    if (commits, when) == (number, "after"):
        os.kill(os.getpid(), 9)

Ledger.plan = killed
sys.argv = ["weft", *sys.argv[3:]]
cli.main()
"""
"""A command that dies before or after so many commits of the ledger: of the plan, of each job's beginning and end."""

Table = dict[str, tuple[bytes, list[tuple[str, int, float]]]]


def outcome(here: Path, sweep: str = "s") -> Table:
    """Return each job's last weights and all its metrics, by what the job was."""
    found: Table = {}
    for run in recorded(here):
        assert run.info.status == "FINISHED"
        with contextlib.closing(sqlite3.connect(here / "runs" / "mlflow.db")) as connection:
            rows = connection.execute(
                "SELECT key, step, value FROM metrics WHERE run_uuid = ? AND key NOT LIKE 'system/%' ORDER BY key, step, value",
                (run.info.run_id,),
            ).fetchall()
        folder = Path(run.data.tags["weft.folder"])
        assert folder.parent.name == sweep
        name = f"{run.data.params['model']} {run.data.params['optimizer']} {run.data.params['seed']}"
        assert name not in found, "a job has two runs"
        found[name] = (folder / "model" / "last.safetensors").read_bytes(), rows
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """What the sweep comes to when nothing happens."""
    here = tmp_path_factory.mktemp("whole")
    call(*SWEEP, folder=here)
    found = outcome(here)
    assert len(found) == 4
    assert all(len(rows) > 100 for _, rows in found.values())
    return found


def go_on(weft: Weft, here: Path, attempts: int = 4) -> None:
    """Give the command again until all is done."""
    for _ in range(attempts):
        line = ("resume", "runs/sweeps/s") if (here / "runs" / "sweeps" / "s" / FILE).exists() else SWEEP
        if weft(*line, check=None).returncode == 0:
            return
    pytest.fail(weft(*line, check=None).stdout)


@pytest.mark.parametrize(
    ("commit", "when"),
    [
        pytest.param(1, "before", marks=pytest.mark.accept),
        pytest.param(2, "after", marks=pytest.mark.accept),
        (4, "before"),
        pytest.param(9, "before", marks=pytest.mark.accept),
    ],
)
def test_the_parent_is_killed_at_each_transition(here: Path, weft: Weft, whole: Table, commit: int, when: str) -> None:
    """One commit for the plan, and two for each of four jobs: after the plan, a beginning, an end; before an end, which is when
    the job's folder knows and the ledger doesn't; with jobs done, under way and not begun beside it."""
    done = subprocess.run([sys.executable, "-c", KILLED_AT, str(commit), when, *SWEEP], cwd=here, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    sweep = here / "runs" / "sweeps" / "s"
    records = {record.parent.name: Folder(record.parent).record() for record in sweep.glob("[0-9]/run.json")}
    finished = [number for number, record in records.items() if record["status"] == "FINISHED"]
    before = {number: (sweep / str(number) / "run.json").read_bytes() for number in finished}
    go_on(weft, here)
    assert states(sweep) == ["finished"] * 4
    assert {number: (sweep / str(number) / "run.json").read_bytes() for number in finished} == before, "done again"
    assert outcome(here) == whole


def victims(parent: subprocess.Popen[bytes], here: Path) -> dict[str, list[psutil.Process]]:
    """Return the processes of a sweep that is under way."""
    own = psutil.Process(parent.pid)
    servers = [child for child in own.children() if "forkserver" in " ".join(child.cmdline())]
    workers = [job for server in servers for job in server.children()]
    shippers = [child for child in own.children() if "weft.telemetry.shipper" in child.cmdline()]
    return {"parent": [own], "server": servers, "job": workers, "shipper": shippers}


@pytest.mark.parametrize(
    ("seed", "kinds"),
    [
        (1, ("parent", "job")),
        pytest.param(2, ("server",), marks=pytest.mark.accept),
        pytest.param(4, ("parent", "shipper"), marks=pytest.mark.accept),
        pytest.param(5, ("job", "shipper"), marks=pytest.mark.accept),
    ],
)
def test_any_two_are_killed_at_random_times(here: Path, weft: Weft, whole: Table, seed: int, kinds: tuple[str, ...]) -> None:
    times = random.Random(seed)
    sweep = here / "runs" / "sweeps" / "s"
    with subprocess.Popen([*WEFT, *SWEEP], cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as parent:
        while not [*sweep.glob("*/run.json")]:
            assert parent.poll() is None
            time.sleep(0.01)
        time.sleep(times.uniform(0, 2.5))
        with contextlib.suppress(psutil.NoSuchProcess):
            found = victims(parent, here)
            for kind in kinds:
                for process in found[kind]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
        parent.wait()
    go_on(weft, here)
    assert states(sweep) == ["finished"] * 4
    assert outcome(here) == whole


def test_ctrl_c_stops_gently_and_a_second_one_at_once(here: Path, weft: Weft, whole: Table) -> None:
    sweep = here / "runs" / "sweeps" / "s"
    for hits in (1, 2):
        with subprocess.Popen([*WEFT, *SWEEP], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
            while "running" not in (states_of(sweep) or []):
                assert parent.poll() is None, parent.communicate()
                time.sleep(0.01)
            for _ in range(hits):
                parent.send_signal(signal.SIGINT)
                time.sleep(0.05)
            out, err = parent.communicate(timeout=60)
        # A second one that comes as the process ends is a signal's death, which a shell has as 130, too.
        assert parent.returncode in (130, -signal.SIGINT), out + err
        assert "stopping: jobs under way write a checkpoint" in out
        assert "go on with it: " in out
        assert "Traceback" not in err
        assert set(states(sweep)) <= {"interrupted", "planned", "finished"}
    go_on(weft, here)
    assert outcome(here) == whole


def states_of(sweep: Path) -> list[str]:
    """Return how far the jobs of a sweep are that another process is at work on."""
    with contextlib.suppress(sqlite3.OperationalError):
        file = sweep / FILE
        if file.exists():
            with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
                return [state for (state,) in connection.execute("SELECT state FROM jobs ORDER BY number")]
    return []


def test_two_parents_on_one_sweep(here: Path, weft: Weft) -> None:
    sweep = here / "runs" / "sweeps" / "s"
    with subprocess.Popen([*WEFT, *SWEEP], cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as parent:
        while not (sweep / FILE).exists():
            assert parent.poll() is None
            time.sleep(0.01)
        parent.send_signal(signal.SIGSTOP)  # it would be done before two others have been refused
        try:
            for line in (SWEEP, ("resume", "runs/sweeps/s")):
                refused = weft(*line, check=2)
                assert "this sweep is under way, in another process" in refused.stderr
        finally:
            parent.send_signal(signal.SIGCONT)
        assert parent.wait() == 0
    assert states(sweep) == ["finished"] * 4


def test_a_checkpoint_that_is_cut_in_half(here: Path, weft: Weft, whole: Table) -> None:
    """It can't come from a crash, which leaves the one before; whatever did it, the job begins from its start."""
    sweep = here / "runs" / "sweeps" / "s"
    with subprocess.Popen([*WEFT, *SWEEP], cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as parent:
        while not [*sweep.glob("*/checkpoint.safetensors")]:
            assert parent.poll() is None
            time.sleep(0.01)
        parent.kill()
    cut = [*sweep.glob("*/checkpoint.safetensors")]
    for file in cut:
        os.truncate(file, file.stat().st_size // 2)
    go_on(weft, here)
    assert any("begins from its start" in (file.parent / "job.log").read_text() for file in cut) or all(
        "finished" in states(sweep) for _ in cut
    )
    assert outcome(here) == whole


def test_a_ledger_that_can_t_be_written_stops_the_sweep_and_loses_nothing(here: Path, weft: Weft, whole: Table) -> None:
    program = KILLED_AT.replace("os.kill(os.getpid(), 9)", 'self._connection.execute("PRAGMA query_only = 1")')
    done = subprocess.run([sys.executable, "-c", program, "4", "before", *SWEEP], cwd=here, capture_output=True, text=True)
    assert done.returncode == 1
    assert "sweep.db: attempt to write a readonly database" in done.stderr
    assert "Traceback" not in done.stderr
    go_on(weft, here)
    assert states(here / "runs" / "sweeps" / "s") == ["finished"] * 4
    assert outcome(here) == whole
