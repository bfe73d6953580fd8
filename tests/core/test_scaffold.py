"""`weft new`: what it refuses, what it writes, and that what it writes works: of every kind, as it is."""

from __future__ import annotations

import errno
import importlib
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import weft
from tests.command import WEFT
from tests.conftest import Install
from tests.core.telemetry.conftest import stop_shipper
from weft import ConfigError, catalog_cache, cli, compose, scaffold, sharing
from weft.catalog import Catalog, Plugin, catalog, describe
from weft.catalog_cache import Offered
from weft.folder import SUMMARY, Folder
from weft.kinds import KINDS
from weft.scaffold import Package

ROOT = Path(__file__).parent.parent.parent
NOBODY = Plugin("other", "other", "weft-other", "0.3")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def refusal(kind: str, name: str, folder: Path | None = None, offered: Catalog | None = None) -> str:
    """Return the message with which it is refused; nothing is written."""
    before = sorted(Path().rglob("*"))
    with pytest.raises(ConfigError) as refused:
        scaffold.write(kind, name, folder, offered or Catalog())
    assert sorted(Path().rglob("*")) == before
    return str(refused.value)


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("optimiser", "lion", "kind: no kind named 'optimiser' (did you mean 'optimizer'?); there are model, loss, "),
        ("models", "lion", "kind: no kind named 'models' (did you mean 'model'?); there are "),
        ("model", "2d", "name: '2d' can't be one: letters from a to z, digits, and single '_' or '-' between them"),
        ("model", "", "name: '' can't be one"),
        ("model", "a.b", "name: 'a.b' can't be one"),
        ("model", "../a", "name: '../a' can't be one"),
        ("model", "a__b", "name: 'a__b' can't be one"),
        ("model", "lion-", "name: 'lion-' can't be one"),
        ("model", "löwe", "name: 'löwe' can't be one"),
        ("model", "lion\n", "name: 'lion\\n' can't be one"),
        ("optimizer", "Lion", "name: 'Lion' has capital letters, and names have none; take 'lion'"),
        ("optimizer", "SignOfLion", "name: 'SignOfLion' has capital letters, and names have none; take 'sign_of_lion'"),
        ("optimizer", "l" * 41, "has 41 characters; it can have 40"),
        ("optimizer", "weft-lion", "name: 'weft-lion': the package is called weft-NAME anyway; take 'lion'"),
        ("optimizer", "lambda", "name: 'lambda' is a word of Python's own"),
        ("optimizer", "none", "name: 'none' is read as a value, not as a name"),
        ("optimizer", "true", "name: 'true' is read as a value, not as a name"),
        ("optimizer", "off", "name: 'off' is read as a value, not as a name"),
        ("activation", "testing", "name: 'testing' would be taken for a test by pytest"),
        ("model", "conformance", "name: 'conformance' would be taken for a test by pytest"),
        ("model", "range", "name: 'range' would be 'Range' in the module, which needs that for something else"),
        ("model", "value_error", "name: 'value_error' would be 'ValueError' in the module"),
        ("activation", "float", "name: 'float' would be 'float' in the module"),
        ("activation", "torch", "name: 'torch' would be 'torch' in the module"),
        ("model", "basics", "name: there is a plugin 'basics' already, of weft "),
    ],
)
def test_a_name_that_can_t_be_is_refused(here: Path, kind: str, name: str, message: str) -> None:
    assert message in refusal(kind, name)


def test_a_name_that_is_taken_is_refused(here: Path, install: Install, tmp_path: Path) -> None:
    offered = catalog()
    assert "name: optimizer 'adamw' is offered already, by weft " in refusal("optimizer", "adamw", offered=offered)
    assert "name: loss 'cross_entropy' is offered already" in refusal("loss", "cross-entropy", offered=offered)
    # What a task can't do without is offered under its name, too.
    assert "name: dataset 'digits' is offered already" in refusal("task", "digits", offered=offered)
    broken = Catalog(broken={("optimizer", "lion"): (NOBODY, "ImportError: no triton")})
    assert "name: optimizer 'lion' is offered already, by weft-other 0.3, though broken" in refusal(
        "optimizer", "lion", offered=broken
    )
    install("weft-tiger", "felines", "")
    install("cats", "weft_puma", "", entry="panther")
    importlib.invalidate_caches()
    assert "name: weft-tiger 0.1 is installed already" in refusal("optimizer", "tiger")
    assert f"name: there is a module weft_puma already, {tmp_path / 'site' / 'weft_puma.py'}" in refusal("optimizer", "puma")
    assert "name: there is a plugin 'panther' already, of cats 0.1" in refusal("optimizer", "panther")


def test_a_name_is_taken_for_its_kind_only(here: Path) -> None:
    assert scaffold.write("callback", "adamw", None, catalog()).folder == Path("weft-adamw")


def test_a_folder_that_is_there_is_left_alone(here: Path) -> None:
    (here / "weft-lion").mkdir()
    (here / "file").write_text("mine")
    (here / "dangling").symlink_to("nowhere")
    for folder in (None, Path("file"), Path("dangling"), Path()):
        assert "is there already, and nothing is overwritten; give another with --path" in refusal("optimizer", "lion", folder)
    assert (here / "file").read_text() == "mine"
    assert "path: no/such is no folder; make it first" in refusal("optimizer", "lion", Path("no/such/lion"))
    assert "path: file is no folder; make it first" in refusal("optimizer", "lion", Path("file/lion"))


def test_a_folder_that_can_t_be_made_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, *rest: object, **more: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "mkdir", denied)
    assert "path: weft-lion can't be made: Permission denied; give another" in refusal("optimizer", "lion")


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_what_can_t_be_written_whole_leaves_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    write_text = Path.write_text

    def full(self: Path, *rest: str, **more: str) -> int:
        if self.name == "test_lion.py":
            raise failure
        return write_text(self, *rest, **more)

    monkeypatch.setattr(Path, "write_text", full)
    expected = ConfigError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as raised:
        scaffold.write("optimizer", "lion", None, Catalog())
    if expected is ConfigError:
        assert str(raised.value) == "path: weft-lion can't be written: No space left on device; nothing is left of it"
    assert [*here.iterdir()] == []


def test_the_command_says_what_it_wrote_and_what_comes_next(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.commands.main(["new", "optimizer", "sign-lion"], standalone_mode=False)
    assert capsys.readouterr().out.splitlines() == [
        "weft-sign-lion",
        "  pyproject.toml",
        "  README.md",
        "  LICENSE",
        "  .gitignore",
        "  .github/workflows/test.yml",
        "  weft_sign_lion/__init__.py",
        "  weft_sign_lion/py.typed",
        "  tests/test_sign_lion.py",
        "  tests/test_conformance.py",
        "now:",
        "  pip install -e './weft-sign-lion[test]'",
        "  weft plugins optimizer",
        "  weft run -m optimizer=sign_lion,adamw",
    ]
    cli.commands.main(["new", "optimizer", "lion", "--path", str(here / "my lion")], standalone_mode=False)
    assert f"  pip install -e '{here}/my lion[test]'" in capsys.readouterr().out.splitlines()
    assert (here / "my lion" / "weft_lion" / "__init__.py").is_file()


def test_a_mistake_is_one_message_and_exit_2(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["weft", "new", "optimiser", "lion"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: kind: no kind named 'optimiser' (did you mean 'optimizer'?)")
    assert [*here.iterdir()] == []


def test_a_package_s_files_say_what_it_is(here: Path) -> None:
    package = scaffold.write("optimizer", "sign-lion", None, Catalog())
    assert sorted(package.files) == sorted(
        str(file.relative_to(here / package.folder)) for file in here.rglob("*") if file.is_file()
    )
    written = {name: (package.folder / name).read_text() for name in package.files}
    assert tomllib.loads(written["pyproject.toml"])["project"] == {
        "name": "weft-sign-lion",
        "version": "0.1.0",
        "description": "The optimizer sign_lion for weft.",
        "readme": "README.md",
        "license": "Apache-2.0",
        "license-files": ["LICENSE"],
        "requires-python": ">=3.11",
        "dependencies": [f"weft>={weft.__version__}"],
        "optional-dependencies": {"test": ["pytest>=8.3"]},
        "entry-points": {"weft": {"sign_lion": "weft_sign_lion"}},
    }
    assert written["LICENSE"] == (ROOT / "LICENSE").read_text()
    assert 'conformance("sign_lion")' in written["tests/test_conformance.py"]
    assert "The run supplies\n`params` and `model`." in written["README.md"]
    assert "> Lion: moves every weight by lr, against the sign of a momentum of its gradients." in written["README.md"]
    steps = yaml.safe_load(written[".github/workflows/test.yml"])["jobs"]["test"]["steps"]
    assert steps[1]["with"]["python-version"] == "${{ matrix.python-version }}"
    assert [step["run"] for step in steps if "run" in step] == ["pip install -e '.[test]'", "pytest"]
    assert not [name for name, text in written.items() if "$name" in text.lower() or "$module" in text]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_formatted_and_in_order(here: Path, kind: str) -> None:
    """By the project's own rules, with a short name and the longest."""
    for name in (f"a_{kind}", f"{kind}_{'x' * 40}"[:40]):
        folder = scaffold.write(kind, name, None, Catalog()).folder
        for command in (["format", "--check"], ["check"]):
            ruff = [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml"), "--no-cache", "."]
            done = subprocess.run(ruff, cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[dict[str, Package]]:
    """A package of every kind, there as `pip install -e` leaves them, and a current folder with a migrated store."""
    place = tmp_path_factory.mktemp("packages")
    (place / "runs").mkdir()
    shutil.copy(template, place / "runs" / "mlflow.db")
    written: dict[str, Package] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for kind in KINDS:
            package = written[kind] = scaffold.write(kind, f"fresh_{kind}", place / kind, Catalog())
            project = tomllib.loads((package.folder / "pyproject.toml").read_text())["project"]
            info = package.folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
            entries = (f"{name} = {value}" for name, value in project["entry-points"]["weft"].items())
            (info / "entry_points.txt").write_text("\n".join(["[weft]", *entries]))
            patch.syspath_prepend(str(package.folder))
        # Here, not in a child for each that would import torch anew: test_a_package_is_installed_listed_and_swept has those.
        patch.setattr(catalog_cache, "ask", lambda name, value: Offered(*describe(name, value)))
        catalog.cache_clear()
        yield written
        stop_shipper("sqlite:///runs/mlflow.db")
    catalog.cache_clear()


@pytest.mark.integration
@pytest.mark.parametrize("kind", KINDS)
def test_the_catalog_reads_it(packages: dict[str, Package], kind: str) -> None:
    found = catalog()
    assert (found.failures, found.broken, found.conflicts()) == ({}, {}, [])
    component = found.find(kind, f"fresh_{kind}")
    assert str(component) == f"{kind} fresh_{kind} of weft-fresh-{kind} 0.1.0"
    assert f"> {component.summary}." in (packages[kind].folder / "README.md").read_text()
    unbounded = [
        option.name for option in component.options if option.type.name in ("int", "float", "tuple") and not option.range
    ]
    assert unbounded == []
    assert component.options or kind == "task", "nobody chooses a task, so that it has no options"


CHOSEN = {
    "metric": ["metric=[fresh_metric,accuracy]"],
    "activation": ["model=mlp", "model.activation=fresh_activation"],
    "dataset": ["dataset=fresh_dataset"],
    "task": ["dataset=fresh_task"],
}


@pytest.mark.integration
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_with_it_works(packages: dict[str, Package], kind: str) -> None:
    chosen = CHOSEN.get(kind, [f"{kind}=fresh_{kind}"])
    data = [] if chosen[0].startswith("dataset=") else ["dataset=iris"]
    result = weft.run(*chosen, *data, "epochs=1", "telemetry.wait=0", "observe.system=null")
    assert result.status == "FINISHED"
    params = Folder(result.folder).read_config()
    assert f"fresh_{kind}" in str(params)
    if kind in ("metric", "task"):
        assert 0 < result.scores[f"test/fresh_{kind}"] <= 1


@pytest.mark.integration
@pytest.mark.parametrize("kind", KINDS)
def test_the_command_that_is_printed_is_one_of_weft_s(packages: dict[str, Package], kind: str) -> None:
    """It composes, and it has another job beside the one with the new component, but for a metric, which has them in one."""
    words = shlex.split(packages[kind].commands[-1])
    assert words[:2] == ["weft", "run"]
    with compose.hydra_app() as hydra:
        _, composed = sharing.compose_jobs(hydra, [word for word in words[2:] if word != "-m"])
    jobs = [job.configuration.params() for job in composed if job.configuration]
    assert len(jobs) == len(composed) == (1 if kind == "metric" else 2)
    assert ("-m" in words) == (len(jobs) > 1)
    assert f"fresh_{kind}" in str(jobs[0])


@pytest.mark.integration
def test_their_own_tests_pass(packages: dict[str, Package]) -> None:
    files = [str(package.folder / "tests" / f"test_fresh_{kind}.py") for kind, package in packages.items()]
    path = os.pathsep.join(str(package.folder) for package in packages.values())
    tests = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--import-mode=importlib", *files]
    done = subprocess.run(tests, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.integration
def test_a_package_is_installed_listed_and_swept(tmp_path: Path) -> None:
    """As its author would: `weft new`, then what it says."""

    def do(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(site)}, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    site = tmp_path / "site"
    assert do(*WEFT, "new", "optimizer", "lion").splitlines()[-1] == "  weft run -m optimizer=lion,adamw"
    pip = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(site), "./weft-lion"]
    do(sys.executable, "-m", "pip", *pip)
    assert (site / "weft_lion" / "py.typed").is_file()
    assert (site / "weft_lion-0.1.0.dist-info" / "licenses" / "LICENSE").is_file()
    assert "optimizer=lion  Lion: moves every weight by lr, against the sign" in do(*WEFT, "plugins", "optimizer")
    do(*WEFT, "run", "-m", "optimizer=lion,adamw", "dataset=iris", "epochs=1", "sweep.name=lions")
    records = [
        Folder(path.parent).record() for path in tmp_path.glob("runs/sweeps/lions/*/run.json") if path.parent.name != SUMMARY
    ]
    assert sorted((record["name"], record["status"]) for record in records) == [
        ("mlp-adamw-iris", "FINISHED"),
        ("mlp-lion-iris", "FINISHED"),
    ]
    said = do(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "weft-lion")
    assert "test_conformance.py" in said
    assert "test_lion.py" in said
