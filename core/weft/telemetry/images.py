"""Images at steps of a run, in the folder `images`, where MLflow's page looks for them and shows them along the steps.

A file is called as MLflow's own are: `NAME+step+STEP+timestamp+MILLISECONDS+ID.png`, and beside it a smaller `….webp` for
lists. An image that is kept once more, by a run that goes on from before that step, takes the place of the first.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft.errors import UserError
from weft.telemetry.tracker import Tracker

FOLDER = "images"
TAG = {"mlflow.loggedImages": "True"}
"""By which MLflow's page knows the runs that have any."""

_NAME = re.compile(r"[\w\-./ ]+", re.ASCII)
_SMALL = 256
"""Pixels of the smaller one's longer side."""
_CHANNELS = (1, 3, 4)


def pixels(name: str, image: Any) -> NDArray[np.uint8]:
    """Return an image's pixels, [height, width] or [height, width, 3 or 4].

    Args:
        name: of letters, digits and `_-./ `; what stands before a slash is a section in MLflow's page.
        image: [height, width] or [height, width, channels], of which there may be 1 (grey), 3 (red, green, blue) or 4 (with
            opacity). Numbers with a fraction go from 0 to 1, and are cut there; NaN is 0. Whole ones go from 0 to 255.

    Raises:
        UserError: another name or shape, or numbers of another kind.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(f"image {name!r}: a name is of letters, digits and _-./ and blanks")
    if hasattr(image, "detach"):
        image = (
            image.detach().cpu()
        )  # torch's, which isn't imported for it: who tracks a loop of another library may not have it
        image = image.float() if image.is_floating_point() else image
    try:
        numbers = np.asarray(image)
    except (ValueError, TypeError) as error:
        raise UserError(f"image {name}: is no array of numbers ({error})") from None
    if numbers.ndim not in (2, 3) or 0 in numbers.shape or (numbers.ndim == 3 and numbers.shape[2] not in _CHANNELS):
        hint = "; .movedim(0, -1) puts channels last" if numbers.ndim == 3 and numbers.shape[0] in _CHANNELS else ""
        raise UserError(
            f"image {name}: shape {list(numbers.shape)} is neither [height, width] nor [height, width, 1, 3 or 4]{hint}"
        )
    if numbers.dtype.kind == "f":
        numbers = np.clip(np.nan_to_num(numbers, nan=0.0), 0, 1) * 255 + 0.5
    elif numbers.dtype.kind == "b":
        numbers = numbers * 255
    elif numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() > 255:
        raise UserError(f"image {name}: takes numbers with a fraction from 0 to 1, or whole ones from 0 to 255")
    bytes_ = numbers.astype(np.uint8)
    return bytes_[..., 0] if bytes_.shape[2:] == (1,) else bytes_


def record(tracker: Tracker, folder: Path, name: str, step: int, found: NDArray[np.uint8]) -> None:
    """Keep an image of a step in a run's folder, and hand it to the run's tracker, as `keep`."""
    for file in keep(folder, name, step, time.time_ns() // 1_000_000, found):
        tracker.artifact(file, FOLDER)
    tracker.tag(TAG)


def keep(folder: Path, name: str, step: int, timestamp: int, found: NDArray[np.uint8]) -> Iterator[Path]:
    """Write an image of a step, by what `pixels` returns, into a run's folder; yield its files.

    Args:
        timestamp: in milliseconds since 1970.

    Raises:
        OSError: the disk is full, or can't be written.
    """
    from PIL import Image

    there = folder / FOLDER
    there.mkdir(parents=True, exist_ok=True)
    begin = f"{name.replace('/', '~')}+step+{step}+timestamp+"
    known = sorted(file.stem for file in there.glob("*.png") if file.name.startswith(begin))
    stem = known[0] if known else f"{begin}{timestamp}+{uuid.uuid4()}"
    picture = Image.fromarray(found)
    small = picture.copy()
    small.thumbnail((_SMALL, _SMALL))
    for image, file in ((picture, there / f"{stem}.png"), (small, there / f"{stem}+compressed.webp")):
        image.save(file)
        yield file
