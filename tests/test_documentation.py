"""What the README says is true: its commands run, its plugin is swept, its files are there."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch

import weft
from tests.command import call, own_process
from tests.plugins.box import names
from weft import compose, sharing
from weft.catalog import catalog
from weft.cli import commands
from weft.experiment import prepare
from weft.kinds import KINDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SERVERS = ("weft ui", "weft serve")
"""They run until they are told to stop: tests/core/telemetry/test_serving.py."""
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def lines() -> list[str]:
    """Return the README's weft commands, without their comments."""
    found = [line for block in blocks("console") for line in block.splitlines()]
    return [line[2:].partition(" #")[0].strip() for line in found if line.startswith("$ weft ")]


def words(line: str) -> list[str]:
    """Return the words of one of them after `weft`, shortened to an epoch where it trains."""
    found = shlex.split(line)[1:]
    return [word for word in found if not word.startswith("epochs=")] + ["epochs=1"] if found[0] == "run" else found


def run(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of them in a process of its own."""
    return own_process(*words(line), folder=folder, check=None, **environment)


@pytest.mark.integration
@pytest.mark.parametrize(
    "line",
    [line for line in lines() if "leaky" not in line and "moons" not in line and not line.startswith(SERVERS)],
)
def test_a_command_of_the_readme_runs(line: str, tmp_path: Path) -> None:
    call(*words(line), folder=tmp_path)


@pytest.mark.integration
def test_the_readme_s_plugin_is_swept_against_a_built_in(tmp_path: Path) -> None:
    """As its author would: the module and the pyproject typed from the README, the wheel built and installed."""
    source = next(block for block in blocks("python") if block.startswith("# my_leaky.py"))
    project = next(block for block in blocks("toml") if "weft-leaky" in block)
    home, site = tmp_path / "leaky", tmp_path / "site"
    home.mkdir()
    (home / "my_leaky.py").write_text(source)
    (home / "pyproject.toml").write_text(project)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(site),
        str(home),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    environment = {"PYTHONPATH": str(site)}
    listed = run("weft plugins model", tmp_path, **environment).stdout
    assert "model=leaky  Two layers with a leak between them  weft-leaky 0.1" in listed
    line = next(line for line in lines() if "leaky" in line)
    done = run(line, tmp_path, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/sweeps/*/*/run.json")]
    assert sorted(record["name"] for record in records if "adamw" in record["name"]) == (
        ["leaky-adamw-digits"] * 2 + ["mlp-adamw-digits"] * 2
    )
    assert len(records) == 5, "the sweep has a run of its own, with the summary"
    assert {record["status"] for record in records} == {"FINISHED"}
    (home / "test_leaky.py").write_text(next(block for block in blocks("python") if "conformance(" in block))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "test_leaky.py"]
    tested = subprocess.run(command, cwd=home, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)
    assert tested.returncode == 0, tested.stdout
    assert "model=leaky: " in tested.stdout


@pytest.mark.integration
def test_the_readme_s_python_runs(tmp_path: Path) -> None:
    source = next(block for block in blocks("python") if "weft.run(" in block)
    done = subprocess.run([sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    accuracy, run_id = done.stdout.split()[-2:]
    assert float(accuracy) > 0.5
    assert len(run_id) == 32


@pytest.mark.integration
def test_the_readme_s_own_loop_is_recorded(tmp_path: Path) -> None:
    source = next(block for block in blocks("python") if "weft.track(" in block)
    done = subprocess.run([sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert run("weft sync", tmp_path).returncode == 0
    assert "1 of 1 runs are in MLflow whole, and once" in run("weft verify", tmp_path).stdout


@pytest.mark.integration
def test_the_readme_s_model_is_evaluated_and_served(tmp_path: Path) -> None:
    block = next(block for block in blocks("console") if "mlflow models serve" in block)
    typed = [line[2:].partition("  #")[0].strip() for line in block.splitlines()]
    for line in typed[:3]:
        done = run(line, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "test/accuracy" in done.stdout
    variable, _, value = typed[3].removeprefix("export ").partition("=")
    port = _free_port()
    serve = [sys.executable, "-W", "ignore", "-m", *typed[4].replace("5001", str(port)).split()]
    output = tmp_path / "output"
    # MLflow looks for uvicorn on the path, as it is where the environment is activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with output.open("wb") as file:
        server = subprocess.Popen(
            serve,
            cwd=tmp_path,
            env={**os.environ, variable: value, "PATH": path},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        words = shlex.split(typed[5].replace("5001", str(port)))
        kind, content = words[words.index("-H") + 1].split(": "), words[words.index("-d") + 1]
        request = urllib.request.Request(words[-1], content.encode(), dict([kind]))
        deadline = time.monotonic() + 120
        while True:
            try:
                answer = json.loads(urllib.request.urlopen(request, timeout=30).read())
                break
            except urllib.error.URLError:
                assert server.poll() is None, output.read_text()
                assert time.monotonic() < deadline, output.read_text()
                time.sleep(0.1)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    outputs = weft.load(tmp_path / "runs" / "moons")(torch.tensor(json.loads(content)["inputs"]))
    assert torch.equal(torch.tensor(answer["predictions"]), outputs)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_readme_s_foreign_classes_are_registered_as_it_says() -> None:
    from weft.catalog import KINDS as kinds
    from weft.catalog import _offer

    source = next(block for block in blocks("python") if "register_schedulers" in block)
    names: dict[str, object] = {}
    exec(source, names)
    offers = []
    for kind in ("optimizer", "scheduler"):
        names[kinds[kind].hook](
            lambda *args, kind=kind, **more: offers.append(
                _offer(  # type: ignore[operator]
                    kinds[kind], args[0], more.pop("name"), None, more
                )
            )
        )
    assert [offer.name for offer in offers] == ["plain", "wave"]


@pytest.mark.integration
def test_the_readme_s_experiment_composes(tmp_path: Path) -> None:
    text = next(block for block in blocks("yaml") if "conf/experiment/wide.yaml" in block)
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "wide.yaml").write_text(text)
    shown = run("weft run +experiment=wide --cfg job", tmp_path).stdout
    assert "width: 512" in shown
    assert "name: sgd" in shown


PRIMER = (ROOT / "plugins" / "weft_basics" / "README.md").read_text()


def test_every_kind_and_its_supplies_are_in_the_table() -> None:
    for kind in KINDS.values():
        row = next(line for line in README.splitlines() if line.startswith(f"| {kind.name} |"))
        assert re.findall(r"`(\w+)`", row.split("|")[2]) == list(kind.supplied)


@pytest.mark.parametrize("line", re.findall(r"^\| [^|]+ \| `(weft run [^`]+)` \|", PRIMER, re.MULTILINE))
def test_a_command_of_the_primer_can_be_run(line: str) -> None:
    """Each of its jobs is composed and checked, and the first built. tests/experiments runs the systems."""
    words = [word for word in shlex.split(line)[2:] if word != "-m"]
    with compose.hydra_app() as hydra:
        _, composed = sharing.compose_jobs(hydra, [*words, "sweep.name=primer"])
    jobs = [job.configuration for job in composed if job.configuration]
    assert (" -m " in line) == (len(jobs) > 1)
    prepare(jobs[0], catalog())


def test_everything_in_the_box_is_in_its_readme() -> None:
    listed = set(re.findall(r"\w+", PRIMER))
    offered = {name for kind in ("model", "loss", "regularizer", "dataset", "metric", "callback") for name in names(kind)}
    assert offered - listed == set()


def test_every_command_is_in_the_table() -> None:
    for name in commands.commands:
        assert f"| `weft {name}" in README


def test_files_that_the_documents_name_are_there() -> None:
    for document in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert "://" in target or (ROOT / target).exists(), f"{document.name}: {target}"


def test_constraints_pin_every_direct_dependency() -> None:
    """Also of the packages in plugins/."""
    asked = []
    for file in (ROOT / "pyproject.toml", *(ROOT / "plugins").glob("*/pyproject.toml")):
        project = tomllib.loads(file.read_text())
        asked += [*project["project"]["dependencies"], *project["build-system"]["requires"]]
        for extra in project["project"]["optional-dependencies"].values():
            asked += extra
    names = {re.match(r"[\w.-]+", text)[0].lower() for text in asked}  # type: ignore[index]
    names = {name for name in names if not name.startswith("weft")}
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert names == pinned
