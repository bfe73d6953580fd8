"""What a run records of where it comes from: who, what program, what commit, on what machine, with what packages."""

import getpass
import json
import os
import platform
import re
import subprocess
import sys
import traceback
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from weft.telemetry.redaction import redact

_GIT_SECONDS = 5
_FIELD = re.compile(r"^(Name|Version): *(.*?)\s*$", re.MULTILINE)


_remembered: dict[str, Any] = {}


def remember() -> None:
    """Look at all that is slow to look at, once: for a process whose forks each make a run, of the code that it has loaded."""
    _remembered.update(tags=tags(), distributions=_distributions())


def tags(folder: Path | None = None) -> dict[str, str]:
    """Return MLflow's tags of origin. Those of git are of the repository that `folder` (else the current one) is in."""
    if folder is None and "tags" in _remembered:
        return dict(_remembered["tags"])
    program = sys.argv[0] if sys.argv and os.path.exists(sys.argv[0]) else sys.executable
    found = {"mlflow.source.name": program, "mlflow.source.type": "LOCAL", **_git_tags(folder or Path.cwd())}
    try:
        found["mlflow.user"] = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        found["mlflow.user"] = str(os.getuid())
    return {key: redact(key, value) for key, value in found.items()}


def environment() -> dict[str, Any]:
    """Return what the run executes on. Of torch, what it has already loaded and started: looking starts nothing."""
    return {
        "python": sys.version,
        "executable": sys.executable,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "torch": _torch(),
        "distributions": _remembered.get("distributions") or _distributions(),
    }


def write_traceback(error: BaseException, folder: Path) -> Path:
    """Write an error's traceback, without the secrets in it, into a run's folder; return the file."""
    file = folder / "traceback.txt"
    file.write_text(redact("traceback", "".join(traceback.format_exception(error))))
    return file


def requirement(distribution: str, version: str) -> str:
    """Return what has pip install a distribution again as it is here: its version, or the commit, folder or file that it came
    from where that was no index (PEP 610)."""
    try:
        found = json.loads(metadata.distribution(distribution).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        found = {}
    url, control = str(found.get("url", "")), found.get("vcs_info")
    if control:
        folder = f"#subdirectory={found['subdirectory']}" if "subdirectory" in found else ""
        return redact("url", f"{distribution} @ {control['vcs']}+{url}@{control['commit_id']}{folder}")
    # Packages of conda name the folder they were built in, which is nowhere any more.
    if url and (not url.startswith("file:") or os.path.exists(unquote(urlsplit(url).path))):
        return redact("url", f"{distribution} @ {url}")
    public = version.partition("+")[0]  # 2.13.0+cpu is a build of 2.13.0 that only torch's own index has
    return f"{distribution}=={public}" if public else distribution


def _git_tags(folder: Path) -> dict[str, str]:
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return {}
    found = {"mlflow.source.git.commit": commit}
    branch = _git(folder, "branch", "--show-current")
    if branch:
        found["mlflow.source.git.branch"] = branch
    url = _git(folder, "config", "--get", "remote.origin.url")
    if url:
        found["mlflow.source.git.repoURL"] = url
    changes = _git(folder, "status", "--porcelain")
    if changes is not None:
        found["weft.git.dirty"] = "true" if changes else "false"
    return found


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git says, or None where there is no git, no repository, or no answer in time."""
    # A repository's own config may name a program for git to run, and looking takes no lock from the user's own git.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=_GIT_SECONDS, env=quiet, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None


def _torch() -> Mapping[str, Any] | None:
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    cuda = torch.cuda
    return {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        # Naming them starts CUDA on each: half a gigabyte that a run on the CPU never asked for.
        "devices": [cuda.get_device_name(index) for index in range(cuda.device_count())] if cuda.is_initialized() else [],
    }


def _distributions() -> dict[str, str]:
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        # Two lines of a header: to parse a whole one as a letter, as `distribution.metadata` does, takes 2 ms.
        header = (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or "").partition("\n\n")[0]
        fields = dict(_FIELD.findall(header))
        if "Name" in fields:  # a half-removed package has none
            found.setdefault(fields["Name"], fields.get("Version", ""))  # the first on the path is the one that is imported
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))
