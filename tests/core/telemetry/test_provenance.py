from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from weft.telemetry import provenance


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "train.py").write_text("1\n")
    _git(folder, "init", "--quiet", "--initial-branch", "trunk")
    _git(folder, "add", "train.py")
    _git(folder, "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "commit", "--quiet", "-m", "first")
    return folder


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_tags_of_a_repository(repository: Path) -> None:
    _git(repository, "remote", "add", "origin", "https://ann:hunter2@git.example/ann/code.git")
    tags = provenance.tags(repository)
    assert tags["mlflow.source.git.commit"] == _git(repository, "rev-parse", "HEAD")
    assert tags["mlflow.source.git.branch"] == "trunk"
    assert tags["mlflow.source.git.repoURL"] == "https://[redacted]@git.example/ann/code.git"
    assert tags["weft.git.dirty"] == "false"
    assert tags["mlflow.source.type"] == "LOCAL"
    assert tags["mlflow.source.name"]
    assert tags["mlflow.user"]


@pytest.mark.parametrize("name", ["train.py", "new.py"])
def test_a_changed_or_new_file_makes_it_dirty(repository: Path, name: str) -> None:
    (repository / name).write_text("2\n")
    assert provenance.tags(repository)["weft.git.dirty"] == "true"


def test_the_current_folder_counts(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    assert provenance.tags()["mlflow.source.git.branch"] == "trunk"


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    _git(repository, "checkout", "--quiet", "--detach")
    tags = provenance.tags(repository)
    assert "mlflow.source.git.commit" in tags
    assert "mlflow.source.git.branch" not in tags


def test_no_commit_no_repository_and_no_git_leave_the_tags_out_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    _git(empty, "init", "--quiet")
    seen = [provenance.tags(empty), provenance.tags(tmp_path)]
    monkeypatch.setenv("PATH", "")
    seen.append(provenance.tags(empty))
    assert not any("git" in key for tags in seen for key in tags)
    assert capfd.readouterr() == ("", "")


def test_a_program_that_a_repository_names_for_git_is_not_run(repository: Path) -> None:
    trap = repository / ".git" / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {repository}/.git/sprung\n")
    trap.chmod(0o755)
    _git(repository, "config", "core.fsmonitor", str(trap))
    assert provenance.tags(repository)["weft.git.dirty"] == "false"
    assert not (repository / ".git" / "sprung").exists()


def test_environment_names_versions_and_is_json() -> None:
    found = json.loads(json.dumps(provenance.environment()))
    assert found["python"] == sys.version
    assert found["cpus"] >= 1
    assert "filelock" in found["distributions"]
    assert list(found["distributions"]) == sorted(found["distributions"], key=str.lower)


def test_environment_loads_no_torch_but_knows_the_one_that_is_loaded() -> None:
    code = """
import sys
from weft.telemetry import provenance
assert provenance.environment()["torch"] is None and "torch" not in sys.modules
import torch
assert provenance.environment()["torch"]["version"] == str(torch.__version__)
assert not torch.cuda.is_initialized()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, "weft-x==1.2"),
        ("not JSON", "weft-x==1.2"),
        ({"url": "https://host.example/x-1.2.whl", "archive_info": {}}, "weft-x @ https://host.example/x-1.2.whl"),
        (
            {"url": "https://ann:hunter2@git.example/x", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}},
            "weft-x @ git+https://[redacted]@git.example/x@c0ffee",
        ),
        (
            {"url": "https://git.example/x", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}, "subdirectory": "py"},
            "weft-x @ git+https://git.example/x@c0ffee#subdirectory=py",
        ),
        ({"url": "file:///no/longer/there", "dir_info": {}}, "weft-x==1.2"),
    ],
)
def test_a_distribution_is_required_from_where_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: object, expected: str
) -> None:
    _distribution(tmp_path, monkeypatch, origin)
    assert provenance.requirement("weft-x", "1.2+cpu") == expected


def test_a_checkout_is_required_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my code").mkdir()
    url = (tmp_path / "my code").as_uri()
    _distribution(tmp_path, monkeypatch, {"url": url, "dir_info": {"editable": True}})
    assert provenance.requirement("weft-x", "1.2") == f"weft-x @ {url}"


def test_what_is_not_installed_is_required_by_its_name() -> None:
    assert provenance.requirement("weft-nowhere", "") == "weft-nowhere"


def _distribution(place: Path, monkeypatch: pytest.MonkeyPatch, origin: object) -> None:
    info = place / "weft_x-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weft-x\nVersion: 1.2\n")
    if origin is not None:
        (info / "direct_url.json").write_text(origin if isinstance(origin, str) else json.dumps(origin))
    monkeypatch.syspath_prepend(str(place))
