"""Images at steps of a run: what may be one, and that they lie where MLflow's own do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from weft.errors import UserError
from weft.settings import Observe
from weft.telemetry import images
from weft.telemetry.observer import Observer
from weft.telemetry.tracker import MemoryTracker

_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (torch.tensor([[0.0, 0.5], [1.0, 2.0]]), [[0, 128], [255, 255]]),
        (torch.tensor([[-1.0, float("nan")]], dtype=torch.bfloat16, requires_grad=True), [[0, 0]]),
        (np.array([[0.2, 0.4]]), [[51, 102]]),
        ([[0, 7], [255, 1]], [[0, 7], [255, 1]]),
        (torch.tensor([[True, False]]), [[255, 0]]),
        (torch.ones(2, 3, 1), [[255] * 3] * 2),
        (torch.zeros(1, 2, 3, dtype=torch.uint8), [[[0] * 3] * 2]),
    ],
)
def test_what_an_image_is(image: Any, expected: list[Any]) -> None:
    assert images.pixels("a", image).tolist() == expected


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("a+b", torch.zeros(2, 2), "a name is of letters"),
        ("", torch.zeros(2, 2), "a name is of letters"),
        (None, torch.zeros(2, 2), "a name is of letters"),
        ("a", torch.zeros(3, 4, 5), r"shape \[3, 4, 5\].*movedim"),
        ("a", torch.zeros(2, 4, 5), r"shape \[2, 4, 5\] is neither .*4\]$"),
        ("a", torch.zeros(4), r"shape \[4\]"),
        ("a", torch.zeros(0, 4), r"shape \[0, 4\]"),
        ("a", [[0, 256]], "whole ones from 0 to 255"),
        ("a", [[0.0, 1.0], [0.0]], "is no array of numbers"),
        ("a", [["x"]], "whole ones from 0 to 255"),
    ],
)
def test_what_is_none(name: Any, image: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        images.pixels(name, image)


def test_files_are_called_as_mlflow_s_own(tmp_path: Path, template: Path) -> None:
    from mlflow import MlflowClient

    shutil.copy(template, tmp_path / "store.db")
    client = MlflowClient(f"sqlite:///{tmp_path}/store.db")
    experiment = client.create_experiment("e", (tmp_path / "there").as_uri())
    run = client.create_run(experiment).info
    found = images.pixels("valid/a b", torch.rand(600, 20, 3))
    client.log_image(run.run_id, found, key="valid/a b", step=3, timestamp=1700000000000, synchronous=True)
    theirs = sorted(file.name for file in (tmp_path / "there" / run.run_id / "artifacts" / "images").iterdir())
    ours = sorted(file.name for file in images.keep(tmp_path, "valid/a b", 3, 1700000000000, found))
    assert [re.sub(_ID, "ID", name) for name in ours] == [re.sub(_ID, "ID", name) for name in theirs]
    assert len({re.search(_ID, name)[0] for name in ours}) == 1  # type: ignore[index]
    assert client.get_run(run.run_id).data.tags["mlflow.loggedImages"] == images.TAG["mlflow.loggedImages"]
    with (
        Image.open(next((tmp_path / "images").glob("*.png"))) as whole,
        Image.open(next((tmp_path / "images").glob("*.webp"))) as small,
    ):
        assert np.array_equal(np.asarray(whole), found)
        assert small.size == (9, 256)


def test_a_step_that_comes_again_has_one_image(tmp_path: Path) -> None:
    dark, light = (images.pixels("a", torch.full((2, 2), shade)) for shade in (0.0, 1.0))
    first = [*images.keep(tmp_path, "a", 1, 5, dark)]
    [*images.keep(tmp_path, "a", 11, 6, dark)]
    [*images.keep(tmp_path, "a+b", 1, 6, dark)]
    assert [*images.keep(tmp_path, "a", 1, 7, light)] == first
    with Image.open(first[0]) as kept:
        assert np.array_equal(np.asarray(kept), light)
    assert len([*(tmp_path / "images").glob("*.png")]) == 3


def test_a_run_goes_on_without_an_image_that_the_disk_refuses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = MemoryTracker()
    observer = Observer(Observe(), tracker)
    observer.image(1, "a", torch.zeros(2, 2))  # a run that is not recorded keeps none
    (tmp_path / "images").write_text("a file in its place")
    observer.keep_in(tmp_path)
    observer.image(1, "a", torch.zeros(2, 2))
    assert "image a of step 1 is not kept" in caplog.text
    assert not tracker.artifacts
    assert not tracker.tags
    (tmp_path / "images").unlink()
    observer.image(2, "a", torch.zeros(2, 2))
    assert [(folder, path.suffix) for folder, path in tracker.artifacts] == [("images", ".png"), ("images", ".webp")]
    assert tracker.tags == images.TAG
