"""What a run leaves in its folder: its config, its record, its checkpoint, its model.

config.yaml              the whole configuration
run.json                 the record: status, MLflow's run id, objective, scores
checkpoint.safetensors   everything that going on needs
looks.npys               what was seen of gradients, weights and updates, as it came
gradients/               the same to look at: a page, pictures, data
images/                  what callbacks have drawn, along the steps
model/                   model.json, best.safetensors, last.safetensors: what `weft.load` reads
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from weft.errors import ConfigError

CONFIG = "config.yaml"
RECORD = "run.json"
CHECKPOINT = "checkpoint.safetensors"
MODEL = "model"
DESCRIPTION = "model.json"
SUMMARY = "summary"
"""The folder beside a sweep's jobs that holds what they come to. It is recorded as a run, and is no job."""


_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # written in C: 2 ms and not 20
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Folder:
    """One run's folder."""

    def __init__(self, path: Path):
        self.path = path.absolute()
        self._noting = threading.Lock()

    @property
    def config(self) -> Path:
        return self.path / CONFIG

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

    @property
    def model(self) -> Path:
        return self.path / MODEL

    @property
    def lock(self) -> Path:
        """Held by the process that is at work here."""
        return self.path / ".lock"

    def write_config(self, tree: Mapping[str, Any]) -> None:
        """Write the configuration."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.config.touch(mode=0o600)  # it may hold a password, in the tracking URI
        self.config.write_text(written(tree))

    def read_config(self) -> dict[str, Any]:
        """Return the configuration's plain values.

        Raises:
            ConfigError: this is no run's folder.
        """
        try:
            found = yaml.load(self.config.read_text(), Loader=_LOADER)
        except (OSError, UnicodeDecodeError):
            what = f"not the folder of a run: it holds no {CONFIG}" if self.path.exists() else "there is no such folder"
            raise ConfigError(f"{self.path}: {what}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{self.config}: can't be read: {error}") from None
        if not isinstance(found, dict):
            raise ConfigError(f"{self.config}: not the config of a run")
        return found

    def note(self, **values: Any) -> None:
        """Add to the record, or change it."""
        record = self.path / RECORD
        beside = record.with_suffix(f".{os.getpid()}")
        with self._noting:
            beside.write_text(json.dumps(_strict({**self.record(), **values}), indent=1, allow_nan=False))
            beside.replace(record)

    def record(self) -> dict[str, Any]:
        """Return the record; empty where there is none."""
        try:
            found = json.loads((self.path / RECORD).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def near(path: Path) -> str:
    """Return a path as short as it can be typed from the current folder."""
    found = os.path.relpath(path)
    return str(path) if found.startswith("..") else found


def written(tree: Mapping[str, Any]) -> str:
    """Return a configuration's plain values as YAML."""
    return str(yaml.dump(dict(tree), Dumper=_DUMPER, sort_keys=False, allow_unicode=True))


def _strict(value: Any) -> Any:
    """Return the value with null for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {key: _strict(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def runs(sweep: Path) -> Iterator[Folder]:
    """Yield the folders of a sweep's jobs, in the order of their numbers."""
    found = [record.parent for record in sweep.glob(f"*/{RECORD}") if record.parent.name != SUMMARY]
    for path in sorted(found, key=lambda path: (not path.name.isdigit(), int(path.name) if path.name.isdigit() else 0)):
        yield Folder(path)
