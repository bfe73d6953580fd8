"""The order of a sweep's jobs."""

from __future__ import annotations

from pathlib import Path

from weft.folder import Folder
from weft.sweep.leaderboard import entries


def job(sweep: Path, number: int, score: float | None, objective: str, maximize: bool, status: str = "FINISHED") -> None:
    folder = Folder(sweep / str(number))
    folder.path.mkdir(parents=True)
    folder.note(status=status, objective=objective, maximize=maximize, score=score, overrides=[f"seed={number}"])


def order(sweep: Path) -> list[int]:
    return [int(entry.folder.name) for entry in entries(sweep)]


def test_the_best_is_first_whichever_way_is_better(tmp_path: Path) -> None:
    for number, score in enumerate([0.3, 0.1, 0.2]):
        job(tmp_path / "less", number, score, "valid/loss", False)
        job(tmp_path / "more", number, score, "valid/accuracy", True)
    assert order(tmp_path / "less") == [1, 2, 0]
    assert order(tmp_path / "more") == [0, 2, 1]


def test_jobs_without_a_score_are_last(tmp_path: Path) -> None:
    job(tmp_path, 0, None, "valid/accuracy", True)
    job(tmp_path, 1, 0.9, "valid/accuracy", True, "FAILED")
    job(tmp_path, 2, -0.5, "valid/accuracy", True)
    assert order(tmp_path)[0] == 2


def test_several_objectives_are_not_mixed(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.5, "valid/loss", False)
    job(tmp_path, 1, 0.7, "valid/accuracy", True)
    job(tmp_path, 2, 0.2, "valid/loss", False)
    job(tmp_path, 3, 0.9, "valid/accuracy", True)
    assert order(tmp_path) == [3, 1, 2, 0]
