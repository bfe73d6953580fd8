"""What a run records of its data: the same for the same samples, another for any other."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.plugins.box import make
from tests.plugins.datasets.test_datasets import SHAPES
from tests.plugins.datasets.test_idx import labels, mnist
from weft.data import Data

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PYTHON_S = ("python_topics", "python_tokens", "python_packages")


def digest(name: str, **given: Any) -> str:
    return Data(make("dataset", name, **{"split_seed": 0, **given}), name).digest


@pytest.mark.parametrize("name", [*SHAPES, *PYTHON_S])
def test_it_follows_from_the_samples_and_the_split(name: str) -> None:
    assert digest(name) == digest(name)
    assert digest(name) != digest(name, split_seed=1)


def table(path: Path) -> dict[str, Any]:
    rows = [f"{place},{place % 7},{place % 2}" for place in range(40)]
    path.write_text("\n".join(["a,b,label", *rows]))
    return {"path": str(path), "target": "label"}


def words(path: Path) -> dict[str, Any]:
    path.write_text(", ".join(str(number**3) for number in range(400)))
    return {"path": str(path), "length": 16}


def pictures(path: Path) -> dict[str, Any]:
    for place in range(20):
        folder = path / "ab"[place % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), place, np.uint8)).save(folder / f"{place}.png")
    return {"path": str(path)}


def recordings(path: Path) -> dict[str, Any]:
    for place in range(10):
        folder = path / "ab"[place % 2]
        folder.mkdir(parents=True, exist_ok=True)
        with wave.open(str(folder / f"{place}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes((np.sin(np.arange(600) / (place + 2)) * 9000).astype("<i2").tobytes())
    return {"path": str(path)}


def texts(path: Path) -> dict[str, Any]:
    for place in range(20):
        folder = path / "ab"[place % 2]
        folder.mkdir(parents=True, exist_ok=True)
        digits = str(10_000_000 + 7919 * place)
        (folder / f"{place}.txt").write_text(" ".join(WORDS[int(digit)] for digit in digits))
    return {"path": str(path), "length": 16}


def images(path: Path) -> dict[str, Any]:
    many = np.arange(240)
    return {
        "path": str(mnist(path, train_images=np.tile(many.astype(np.uint8)[:, None, None], (3, 2)), train_labels=labels(240)))
    }


FILES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "csv": table,
    "idx": images,
    "text": words,
    "image_folder": pictures,
    "sound_folder": recordings,
    "text_folder": texts,
}


@pytest.mark.parametrize("name", FILES)
def test_it_changes_with_a_byte_of_a_file_and_not_with_its_place_or_time(name: str, tmp_path: Path) -> None:
    before = digest(name, **FILES[name](tmp_path / "here"))
    again = FILES[name](tmp_path / "there")
    assert digest(name, **again) == before
    files = [path for path in sorted(tmp_path.glob("there/**/*")) if path.is_file()] or [tmp_path / "there"]
    if name == "image_folder":
        Image.fromarray(np.full((4, 4), 200, np.uint8)).save(files[0])
    else:
        content = bytearray(files[0].read_bytes())
        content[-10] ^= 1
        files[0].write_bytes(content)
    assert digest(name, **again) != before
