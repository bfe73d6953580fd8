"""The example package as a stranger's: wheels of it and of weft in a fresh environment, beside plugins that are wrong."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, put

EXAMPLE = ROOT / "plugins" / "weft-example"
Call = Callable[..., subprocess.CompletedProcess[str]]

WRONG = {
    "weft-rival": """
        from weft import hookimpl

        def symmetric_cross_entropy(outputs, targets):
            return outputs.square().mean()

        @hookimpl
        def register_losses(register):
            register(symmetric_cross_entropy)
    """,
    "weft-broken": "raise RuntimeError('this plugin is broken')",
    "weft-hook": """
        from weft import hookimpl

        @hookimpl
        def register_losses(register):
            register(undefined)
    """,
    "weft-exit": "import os; os._exit(3)",
    "weft-loud": "print('LOUD'); import sys; sys.exit('left')",
    "weft-crash": "import ctypes; ctypes.string_at(0)",
    "weft-untyped": """
        from weft import hookimpl

        class Untyped:
            def __init__(self, thing: object): ...

        @hookimpl
        def register_losses(register):
            register(Untyped)
    """,
    "weft-later": "print('imported')",
}
"""Distributions with one plugin each, and the source of that."""
REQUIRES = {"weft-later": ["weft>=99"]}


def do(*command: str | Path, **options: str | Path) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with wheels of weft and of the example, and what they depend on, from the index."""
    place = tmp_path_factory.mktemp("environment")
    for source in (ROOT, EXAMPLE):
        do(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place / "wheels", source)
    do(sys.executable, "-m", "venv", place / "venv")
    options = ["--quiet", "--no-compile", "-c", ROOT / "constraints.txt"]
    install = [place / "venv" / "bin" / "python", "-m", "pip", "install", *options]
    index = os.environ.get("TORCH_INDEX")
    do(*install, *(["--index-url", index] if index else []), "torch")
    do(*install, *(place / "wheels").glob("*.whl"))
    site = next((place / "venv" / "lib").glob("python*/site-packages"))
    for name, source in WRONG.items():
        more = {"entry": name.removeprefix("weft-"), "requires": REQUIRES.get(name, [])}
        put(site, name, name.replace("-", "_"), source, version="1.0", **more)
    return place / "venv"


@pytest.fixture
def weft(environment: Path, tmp_path: Path) -> Call:
    """Call weft there, as from a shell of that environment's own, in a folder that has nothing."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WEFT_", "VIRTUAL_ENV"))}

    def call(line: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        known = {**own, "PATH": f"{environment / 'bin'}:{own['PATH']}", "WEFT_CACHE": str(environment / "cache")}
        words = [environment / "bin" / "weft", *shlex.split(line)]
        done = subprocess.run(words, cwd=tmp_path, env=known, capture_output=True, text=True)
        assert done.returncode == code, f"{line}\n{done.stdout}{done.stderr}"
        return done

    return call


pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]


def test_it_is_listed_beside_what_did_not_load(weft: Call) -> None:
    done = weft("plugins")
    said = done.stdout + done.stderr
    assert re.search(r"dataset +mislabelled_digits +weft-example +0\.1\.0 +Handwritten digits", said)
    assert re.search(r"regularizer +confidence_penalty +weft-example", said)
    assert "LOUD" not in said
    for reason in (
        "broken of weft-broken 1.0: RuntimeError: this plugin is broken",
        "hook of weft-hook 1.0: register_losses raised NameError: name 'undefined' is not defined",
        "exit of weft-exit 1.0: the process that imported it ended (exit 3)",
        "loud of weft-loud 1.0: the process that imported it ended (exit 1)",
        "crash of weft-crash 1.0: the process that imported it ended (killed by signal 11)",
        "later of weft-later 1.0: was made for weft >=99, and this is weft 0.1.0",
    ):
        assert reason in said, said


def test_a_sweep_of_it_runs(weft: Call, tmp_path: Path) -> None:
    done = weft(
        "run -m dataset=mislabelled_digits loss=cross_entropy regularizer=none,confidence_penalty epochs=2 sweep.name=x"
    )
    assert "confidence_penalty" in done.stdout
    records = [json.loads(file.read_text()) for file in tmp_path.glob("runs/sweeps/x/*/run.json")]
    assert [record["status"] for record in records] == ["FINISHED"] * 3  # and the sweep's own


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("symmetric_cross_entropy", r"loss=symmetric_cross_entropy: offered by .*weft-example 0.1.0.* and .*weft-rival 1.0"),
        ("undefined", r"no loss named 'undefined'(.|\n)*not loaded: hook of weft-hook 1.0"),
        ("untyped", r"loss=untyped: of weft-untyped 1.0, can't be used: .*'thing' must be given"),
        ("later", r"no loss named 'later'(.|\n)*not loaded: later of weft-later 1.0 \(was made for weft >=99"),
    ],
)
def test_only_a_run_that_chooses_what_is_wrong_fails(weft: Call, tmp_path: Path, loss: str, said: str) -> None:
    done = weft(f"run dataset=mislabelled_digits loss={loss} epochs=1", code=2)
    assert re.search(said, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_sweep_leaves_out_what_is_wrong_and_runs_the_rest(weft: Call) -> None:
    done = weft("run -m dataset=mislabelled_digits loss=cross_entropy,symmetric_cross_entropy,untyped epochs=1")
    assert re.search(
        r"skip loss=symmetric_cross_entropy: loss=symmetric_cross_entropy: offered by .*weft-exa.*weft-rival", done.stdout
    )
    assert re.search(r"skip loss=untyped: loss=untyped: of weft-untyped 1.0, can't be used", done.stdout)
    assert "1 to run, 2 skipped" in done.stdout


def test_it_conforms_there_without_its_rival(weft: Call, environment: Path, tmp_path: Path) -> None:
    """By the command, and by its own tests, which its extra [test] is enough for."""
    (site,) = (environment / "lib").glob("python*/site-packages")
    away = tmp_path / "away"
    away.mkdir()
    rival = [*site.glob("weft_rival*")]
    for path in rival:
        shutil.move(path, away / path.name)
    try:
        done = weft("check mislabelled_digits symmetric_cross_entropy confidence_penalty")
        assert done.stdout.count("conforms") >= 3, done.stdout
        do(environment / "bin" / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", "pytest")
        shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
        shutil.copy(EXAMPLE / "pyproject.toml", tmp_path)
        do(environment / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    finally:
        for path in rival:
            shutil.move(away / path.name, path)
