"""The author's guide, plugins/README.md: its code is run, its commands too, and its table is the suite's."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Install
from weft.kinds import KINDS
from weft.testing import suite

GUIDE = (ROOT / "plugins" / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE, re.DOTALL)


def block(language: str, start: str) -> str:
    (found,) = [text for name, text in BLOCKS if name == language and start in text]
    return found


def call(arguments: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    known |= {name: os.pathsep.join(filter(None, [value, known.get(name)])) for name, value in environment.items()}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=known, capture_output=True, text=True, timeout=300)


def test_the_table_is_the_suite_s() -> None:
    kinds: dict[tuple[str, str], list[str]] = {}
    for kind in KINDS:
        for check in suite.checks(kind):
            kinds.setdefault((f"{check.name}{' *' * check.capability}", check.says), []).append(kind)
    in_a_run = [kind for kind in KINDS if kind not in ("dataset", "task")]
    names = {tuple(KINDS): "all", tuple(in_a_run): "all in a run"}
    rows = [f"| {name} | {says} | {names.get(tuple(of), ', '.join(of))} |" for (name, says), of in kinds.items()]
    assert [line for line in GUIDE.splitlines() if line.startswith("| ") and not line.startswith("| check")] == rows


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "chosen"),
    [("charbonnier", ["dataset=diabetes", "loss=charbonnier"]), ("hardest", ["dataset=hardest", "epochs=3"])],
)
def test_a_module_of_the_guide_conforms(install: Install, tmp_path: Path, name: str, chosen: list[str]) -> None:
    install(f"weft-{name}", f"weft_{name}", block("python", f"# weft_{name}.py"), entry=name)
    (tmp_path / "test_it.py").write_text(block("python", "conformance(").replace("charbonnier", name))
    done = call(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "test_it.py"], tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"={name}: " in done.stdout
    trained = call(["-m", "weft.cli", "run", "epochs=1", *chosen], tmp_path)
    assert trained.returncode == 0, trained.stderr


@pytest.mark.integration
def test_its_commands_make_a_package_that_is_swept_and_passes_its_tests(tmp_path: Path) -> None:
    """In their order. Where pip would install into this environment, it installs into a folder beside."""
    site = tmp_path / "site"
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(site)]
    folder = tmp_path
    does: dict[str, Callable[[list[str]], list[str]]] = {
        "weft": lambda words: ["-m", "weft.cli", *words],
        "pip": lambda words: [*pip, "."],
        "pytest": lambda words: ["-m", "pytest", "-q", "-p", "no:cacheprovider"],
    }
    said = []
    for line in block("console", "weft new").splitlines():
        program, *words = shlex.split(line.removeprefix("$ "))
        if program == "cd":
            folder = folder / words[0]
            continue
        done = call(does[program](words), folder, PYTHONPATH=str(site))
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        said.append(done.stdout)
    assert "optimizer=lion" in said[2]
    assert "lion" in said[3]
    assert "optimizer=lion: " in said[4]
