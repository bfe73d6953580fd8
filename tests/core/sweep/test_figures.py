"""Pictures of a sweep: nothing is clipped, whatever the names."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.core.sweep.sweeps import grid, job
from weft.sweep import figures
from weft.sweep.results import entries, groups

NAMES = ["plain", r"$\frac$ is no formula", "a_name_without_any_place_to_break_it" * 4, "many words " * 20, "量子", "100 %"]


def pixels(file: Path) -> np.ndarray:
    """Return a picture's colours, [height, width, 3]."""
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def is_whole(picture: np.ndarray) -> bool:
    """Whether there is ink, and none at the edges."""
    edges = [picture[:2], picture[-2:], picture[:, :2], picture[:, -2:]]
    return picture.min() < 100 and all(edge.min() == 255 for edge in edges)


@pytest.mark.parametrize("count", [1, 6, 60])
def test_nothing_is_clipped(tmp_path: Path, count: int) -> None:
    drawn = random.Random(0)
    settings = {
        f"name={NAMES[place % 6].replace(' ', chr(160))}{place}": [drawn.random() for _ in range(3)] for place in range(count)
    }
    found = entries(grid(tmp_path, settings))
    assert figures.scores(groups(found), tmp_path / "scores.png")
    assert figures.progress(found, tmp_path / "progress.png")
    assert is_whole(pixels(tmp_path / "scores.png"))
    assert is_whole(pixels(tmp_path / "progress.png"))


def height(tmp_path: Path, count: int) -> int:
    file = tmp_path / f"{count}.png"
    figures.scores(groups(entries(grid(tmp_path / str(count), {f"a={place}": [float(place)] for place in range(count)}))), file)
    return len(pixels(file))


def test_a_picture_is_as_high_as_its_settings_are_many_up_to_a_limit(tmp_path: Path) -> None:
    assert height(tmp_path, 5) < height(tmp_path, 20) < height(tmp_path, 60) == height(tmp_path, 90)


def test_scores_of_many_sizes_and_objectives(tmp_path: Path) -> None:
    for number, score in enumerate([1e-6, 1.0, 1e6, 2e6]):
        job(tmp_path, number, score, f"a={number // 2}", f"seed={number % 2}")
    for number, score in enumerate([-3.0, 0.0], 4):
        job(tmp_path, number, score, f"a={number}", objective="valid/accuracy", maximize=True)
    found = entries(tmp_path)
    assert figures.scores(groups(found), tmp_path / "scores.png")
    assert figures.progress(found, tmp_path / "progress.png")
    assert is_whole(pixels(tmp_path / "scores.png"))
    assert is_whole(pixels(tmp_path / "progress.png"))


def test_without_scores_there_is_no_picture(tmp_path: Path) -> None:
    found = entries(grid(tmp_path, {"a=1": [None, None]}))
    assert not figures.scores(groups(found), tmp_path / "scores.png")
    assert not figures.progress(found, tmp_path / "progress.png")
    assert not [*tmp_path.glob("*.png")]
