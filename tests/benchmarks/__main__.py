"""`make bench`: what weft costs, as ratios inside one run, printed as tables and kept under runs/benchmarks/."""

from __future__ import annotations

import argparse
import json
import platform
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from tests.benchmarks import serving, startup, steps, sweeps, telemetry

BENCHMARKS: dict[str, Any] = {
    "steps": steps,
    "startup": startup,
    "sweeps": sweeps,
    "telemetry": telemetry,
    "serving": serving,
}


def main() -> None:
    """Measure everything, or what is named."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("what", nargs="*", choices=[*BENCHMARKS, []], default=[])
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds; the medians are reported")
    asked = parser.parse_args()
    console = Console(width=128)
    torch.set_num_threads(1)
    found = {"machine": {"platform": platform.platform(), "python": platform.python_version(), "torch": torch.__version__}}
    for name, benchmark in BENCHMARKS.items():
        if not asked.what or name in asked.what:
            found[name] = benchmark.measure(console, asked.rounds)
    folder = Path("runs/benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{datetime.now():%Y-%m-%d_%H-%M-%S}.json"
    file.write_text(json.dumps(found, indent=1))
    console.print(f"kept in {file}")


if __name__ == "__main__":
    main()
