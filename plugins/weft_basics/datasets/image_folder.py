"""Pictures of your own."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from weft import Range
from weft_basics.datasets.dataset import Dataset, classification
from weft_basics.datasets.folder import Pattern, Split, samples
from weft_basics.datasets.split import Test, Valid

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""What a file is tried as, whatever its suffix: a JPEG called .png is met often."""
_BROKEN = (
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
)
"""What Pillow raises for files that are not as they should be."""
Pixels = NDArray[np.uint8]


def image_folder(
    path: Annotated[str, "of a folder that has one folder for each class, or files whose names a pattern describes"],
    split_seed: int,
    pattern: Pattern = None,
    split: Split = "stratified",
    size: Annotated[tuple[int, int] | None, Range(1, 8192), "[height, width] that all get; null: all have one"] = None,
    colour: Annotated[bool, "three channels, red, green and blue; false: one, grey"] = True,
    valid: Valid = 0.15,
    test: Test = 0.15,
) -> Dataset:
    """Pictures in files (channels, height, width), from 0 (black) to 1; a folder, or a part of the name, is the class.

    PNG, JPEG, BMP, GIF (the first picture), WebP, TIFF and PPM. They are turned as the camera noted, transparency is
    dropped, and resizing (bilinear) has no regard to proportions. Folders called train, valid and test are splits; of those,
    a missing one is taken from train. Laid out as for torchvision's ImageFolder, but a file in a class's folder that is no
    picture is an error, unless it is hidden.

    Raises:
        ValueError: a folder or file that isn't there or can't be read, pictures that differ in size where none is given, a
            name that the pattern doesn't fit, or classes or groups with too few samples.
    """
    found = samples(path, SUFFIXES, pattern, split)
    pictures = [_pixels(file, size, colour) for file in found.files]
    for file, picture in zip(found.files, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            raise ValueError(
                f"the pictures differ in [height, width]: {found.files[0]} is {_shape(pictures[0])}, {file} {_shape(picture)}; "
                "give the size that all are to have"
            )
    return classification(
        np.stack(pictures).astype(np.float32) / 255,
        found.labels,
        found.classes,
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=path,
        groups=found.groups,
        places=found.places,
    )


def _pixels(file: Path, size: tuple[int, int] | None, colour: bool) -> Pixels:
    """Return a picture (channels, height, width)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow has to say of tags and palettes
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as opened:
                image = _eight_bits(ImageOps.exif_transpose(opened)).convert("RGB" if colour else "L")
    except _BROKEN as error:
        raise ValueError(f"{file} can't be read as a picture: {error}") from error
    if size is not None:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    numbers = np.asarray(image)
    return numbers.transpose(2, 0, 1) if colour else numbers[None]


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a picture that Pillow can convert: it would clip what has 16 bits, where all but black became white."""
    if image.mode[0] not in "IF":
        return image
    numbers = np.asarray(image)
    if numbers.dtype.kind == "f" or numbers.min() < 0 or numbers.max() >= 1 << 16:
        raise ValueError("its pixels are neither of 8 nor of 16 bits, so it is open what white is")
    return Image.fromarray((numbers >> 8).astype(np.uint8))


def _shape(picture: Pixels) -> str:
    return f"[{picture.shape[1]}, {picture.shape[2]}]"
