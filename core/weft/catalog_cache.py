"""What a plugin offers, read once in a child process and kept until something changes.

A failure is kept too, until a distribution is installed or removed: a missing module may be there by then.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weft import cache
from weft.errors import PluginError

if TYPE_CHECKING:
    from weft.catalog import Plugin

FORMAT = 3
PATIENCE = 120.0
"""Seconds that a plugin may take to import, in the child."""

_CHILD = "import sys; from weft import catalog, catalog_cache; catalog_cache.answer(sys.argv[1:], catalog.describe)"


@dataclass
class Offered:
    """One plugin's answer: what it offers as JSON's types, or why it did not load; which of its components can't be used, as
    kind, name and reason; and whether threads run once it is imported, which a fork would be without."""

    components: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""
    broken: list[list[str]] = field(default_factory=list)
    threads: bool = False


def kept(plugin: Plugin) -> Offered | None:
    """Return what the plugin offers as the cache has it; None when something has changed since."""
    try:
        known = json.loads(_file(plugin).read_text())
        offered = Offered(**known["offered"])
        if known["stamp"] == _stamp(plugin) and (not (offered.failure or offered.broken) or known["installed"] == _installed()):
            return offered
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no cache yet, or not one of ours
    return None


def asked(plugin: Plugin) -> Offered:
    """Return what the plugin offers, by a child process, and keep it."""
    stamp = _stamp(plugin)
    offered = ask(plugin.name, plugin.value)
    content = json.dumps({"stamp": stamp, "installed": _installed(), "offered": asdict(offered)})
    cache.keep(_file(plugin), content.encode())
    return offered


def _file(plugin: Plugin) -> Path:
    return cache.folder("catalog") / f"{_digest([plugin.distribution, plugin.name, plugin.value, sys.prefix])}.json"


def ask(name: str, value: str, patience: float = PATIENCE) -> Offered:
    """Import the plugin in a child process and return its answer. Nothing it does there reaches this process."""
    with tempfile.TemporaryDirectory(prefix="weft-") as scratch:
        answer = Path(scratch) / "answer.json"
        command = [sys.executable, "-c", _CHILD, name, value, str(answer)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
            "OPENBLAS_NUM_THREADS": "1",  # NumPy's, which begin with its import and start anew after a fork, are not meant
        }
        try:
            child = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience, env=environment
            )
        except subprocess.TimeoutExpired:
            return Offered(failure=f"did not finish importing in {patience:.0f} s")
        if not answer.exists():
            said = (child.stderr or child.stdout).strip().splitlines()
            how = f"killed by signal {-child.returncode}" if child.returncode < 0 else f"exit {child.returncode}"
            return Offered(failure="\n".join([f"the process that imported it ended ({how})", *said[-8:]]))
        return Offered(**json.loads(answer.read_text()))


def answer(arguments: list[str], describe: Callable[[str, str], tuple[list[dict[str, Any]], list[list[str]]]]) -> None:
    """The child's side: write what the plugin offers, or why it does not load."""
    name, value, target = arguments
    try:
        components, broken = describe(name, value)
        offered = Offered(components, broken=broken, threads=_threads() > 1)
    except PluginError as error:
        offered = Offered(failure=str(error))
    except Exception:
        offered = Offered(failure=traceback.format_exc(limit=-3))
    text = json.dumps(asdict(offered))
    Path(target).write_text(text)


def _threads() -> int:
    """Return how many threads this process has, native ones too where a system tells. jemalloc's, which pandas brings along, is
    left out: it is made for forks."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        return threading.active_count()
    return sum((task / "comm").read_text().strip() != "jemalloc_bg_thd" for task in tasks.iterdir())


def _stamp(plugin: Plugin) -> str:
    """Return what must be unchanged for the cache to hold: the plugin's and weft's files, and the version of torch, whose
    classes plugins register."""
    package = plugin.value.partition(":")[0].partition(".")[0]
    seen = [FORMAT, plugin.version, plugin.value, sys.version, _torch(), list(_files(package)), _own()]
    return _digest(seen)


@functools.cache
def _torch() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""


@functools.cache
def _own() -> str:
    here = Path(__file__).parent
    names = ["catalog.py", "hookspecs.py", "kinds.py", "options.py", "parameters.py", "typed.py"]
    return _digest([(name, (here / name).stat().st_mtime_ns) for name in names])


def _files(package: str) -> Iterator[tuple[str, int, int]]:
    """Yield path, time and size of a package's Python files, without importing it."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    files = [file for place in places for file in place.rglob("*.py")] or [Path(spec.origin or "")]
    for file in sorted(files):
        if file.is_file():
            stat = file.stat()
            yield str(file), stat.st_mtime_ns, stat.st_size


@functools.cache
def _installed() -> str:
    """Return what changes when a distribution is installed or removed: the times of the folders they live in."""
    places = [Path(entry) for entry in sys.path if entry]
    return _digest([(str(place), place.stat().st_mtime_ns) for place in places if place.is_dir()])


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
