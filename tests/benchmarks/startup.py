"""How long commands take to start, and what they weigh; a one-epoch run, split by phase."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

COMMANDS = {
    "weft --help": ["--help"],
    "weft plugins": ["plugins"],
    "weft run --help": ["run", "--help"],
    "weft run --cfg job": ["run", "--cfg", "job"],
}
MANY = 1000
"""Plugins that some commands are timed with."""
WITH_MANY = {f"weft plugins, of {MANY}": ["plugins"], f"weft run --help, with {MANY}": ["run", "--help"]}
TARGETS = {"weft plugins": 1.0, f"weft plugins, of {MANY}": 1.5}

_PLUGIN = """
from weft import hookimpl

def loss_{number}(outputs, targets, scale: float = 1.0):
    \"\"\"A loss, the {number}th of its kind.\"\"\"

@hookimpl
def register_losses(register):
    register(loss_{number})
"""

_PEAK = """
import json, resource, sys, time
def peak():
    \"\"\"Megabytes. On Linux from /proc: what getrusage says begins with what the parent weighed.\"\"\"
    if sys.platform == "linux":
        return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
"""

_WEIGHED = """
start = time.perf_counter()
from weft.cli import commands
try:
    commands.main({arguments!r}, standalone_mode=False)
except SystemExit:
    pass
usage = peak()
print(json.dumps([time.perf_counter() - start, usage, "torch" in sys.modules]), file=sys.stderr)
"""

_PHASES = """
marks = [("start", time.perf_counter())]
def mark(name): marks.append((name, time.perf_counter()))
from weft import compose
overrides = ["epochs=1", "model=mlp"]
wanted, folder = compose.configured(overrides)
mark("compose")
from weft.telemetry import shipping
shipping.warm()
import torch
mark("import torch")
from weft.destination import tracker
from weft.catalog import catalog
from weft.execution import execute
from weft.experiment import prepare
from weft.folder import Folder
mark("import the rest")
run = prepare(wanted, catalog())
mark("prepare")
result = execute(run, Folder(folder), tracker(wanted.settings, Folder(folder)))
assert result.error is None, result.error
mark("fit, test, record")
usage = peak()
phases = {name: after - before for (_, before), (name, after) in zip(marks, marks[1:])}
print(json.dumps([phases, usage, "mlflow" in sys.modules]), file=sys.stderr)
"""


def measure(console: Console, rounds: int) -> dict[str, Any]:
    """Measure the commands and the run's phases; return medians."""
    found: dict[str, Any] = {"commands": {}, "run": {}}
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as scratch:
        many = _many(Path(scratch) / "site")
        for name, arguments in {**COMMANDS, **WITH_MANY}.items():
            places = many if name in WITH_MANY else {}
            answers = [_child(_WEIGHED.format(arguments=arguments), scratch, places) for _ in range(rounds + 1)][1:]
            found["commands"][name] = {
                "seconds": statistics.median(answer[0] for answer in answers),
                "megabytes": statistics.median(answer[1] for answer in answers),
                "imports torch": any(answer[2] for answer in answers),
            }
        runs = [_child(_PHASES, scratch) for _ in range(max(3, rounds // 2) + 1)][1:]
        found["run"] = {
            "seconds": {phase: statistics.median(run[0][phase] for run in runs) for phase in runs[0][0]},
            "megabytes": statistics.median(run[1] for run in runs),
            "imports mlflow": any(run[2] for run in runs),
        }
    table = Table(title="start-up, from a warm catalog", title_justify="left")
    for column in ("", "median", "memory", "imports", "target"):
        table.add_column(column, justify="left" if column in ("", "imports") else "right")
    for name, one in found["commands"].items():
        target = TARGETS.get(name)
        table.add_row(
            name,
            f"{one['seconds']:.2f} s",
            f"{one['megabytes']:.0f} MB",
            "torch" if one["imports torch"] else "no torch",
            f"≤ {target:g} s {'met' if one['seconds'] <= target else 'missed'}" if target else "",
        )
    table.add_section()
    for phase, seconds in found["run"]["seconds"].items():
        table.add_row(f"one epoch: {phase}", f"{seconds:.2f} s", "", "", "")
    whole = sum(found["run"]["seconds"].values())
    imports = "mlflow" if found["run"]["imports mlflow"] else "no mlflow"
    table.add_row("one epoch: all of it", f"{whole:.2f} s", f"{found['run']['megabytes']:.0f} MB", imports, "")
    console.print(table)
    return found


def _many(site: Path) -> dict[str, str]:
    """Install as many plugins in a folder; return the environment that finds them."""
    site.mkdir()
    for number in range(MANY):
        (site / f"many_{number}.py").write_text(_PLUGIN.format(number=number))
        info = site / f"weft_many_{number}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: weft-many-{number}\nVersion: 1\nRequires-Dist: weft>=0.1\n"
        )
        (info / "entry_points.txt").write_text(f"[weft]\nmany{number} = many_{number}\n")
    return {"PYTHONPATH": str(site)}


def _child(code: str, folder: str, environment: Mapping[str, str] | None = None) -> Any:
    """Run code in a fresh interpreter and return what it prints last on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK + code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stderr.strip().splitlines()[-1])
