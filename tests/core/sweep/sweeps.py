"""Folders of sweeps as their jobs leave them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from weft.folder import Folder


def job(sweep: Path, number: int, score: float | None, *overrides: str, status: str = "FINISHED", **more: Any) -> Folder:
    """Write one job's folder."""
    folder = Folder(sweep / str(number))
    folder.write_config({"sweep": {"name": sweep.name}})
    known = {"objective": "valid/loss", "maximize": False, "started": 100.0 + number, "ended": 200.0 + number}
    scores = {} if score is None else {"valid/loss": score, "test/loss": score + 1}
    given = [*overrides, f"sweep.name={sweep.name}"]
    folder.note(**{**known, "status": status, "score": score, "scores": scores, "overrides": given, **more})
    return folder


def grid(sweep: Path, settings: dict[str, Iterable[float | None]]) -> Path:
    """Write a sweep of settings, given as their overrides, each with its scores for seed=0, 1, …; None has failed."""
    number = 0
    for setting, scores in settings.items():
        for seed, score in enumerate(scores):
            ending = {} if score is not None else {"status": "FAILED", "error": "NonFiniteError: the loss became NaN"}
            job(sweep, number, score, *setting.split(), f"seed={seed}", **ending)
            number += 1
    return sweep
