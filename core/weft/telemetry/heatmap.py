"""One picture of one layer's histograms: steps from left to right, powers of two upwards, the share of elements as colour."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

LEFT, TOP, RIGHT, BOTTOM = 64, 24, 72, 28
"""Pixels around the cells, for what is written there."""
_WIDTH, _HEIGHT = 512, 480
_DECADES = 6  # shares below 10**-6 have the darkest colour
_PAPER, _INK, _EMPTY = 0, 1, 2
_COLOURS = 253
# Nine points of matplotlib's viridis, which is even to the eye, in grey too, and to the colour-blind.
_VIRIDIS = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")


def palette() -> NDArray[np.uint8]:
    """Return the colours, [256, 3]: paper, ink, a cell with nothing in it, then from the smallest share to 1."""
    points = np.array([[int(colour[place : place + 2], 16) for place in (0, 2, 4)] for colour in _VIRIDIS])
    along = np.linspace(0, len(points) - 1, _COLOURS)
    colours = np.stack([np.interp(along, range(len(points)), points[:, channel]) for channel in range(3)], axis=1)
    return np.vstack([[[255, 255, 255], [32, 32, 32], [232, 232, 236]], colours.round()]).astype(np.uint8)


def cell(looks: int, rows: int) -> tuple[int, int]:
    """Return the width and height of a cell in pixels."""
    return max(4, _WIDTH // max(looks, 1)), max(2, min(8, _HEIGHT // rows))


def shades(shares: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the palette's place for each share, by its logarithm."""
    with np.errstate(divide="ignore"):
        height = 1 + np.log10(shares) / _DECADES
    return np.where(shares > 0, _EMPTY + 1 + np.clip(height, 0, 1) * (_COLOURS - 1), _EMPTY).astype(np.uint8)


@functools.cache
def font() -> Any:
    """Return the letters of the pictures."""
    from PIL import ImageFont

    return ImageFont.load_default_imagefont()


def draw(
    title: str,
    steps: NDArray[np.integer],
    exponents: NDArray[np.integer],
    counts: NDArray[np.integer],
    zeros: NDArray[np.integer],
    nonfinite: NDArray[np.integer],
) -> Image:
    """Return the picture. Under the powers of two stand a row of the zeros and one of NaN and infinity.

    Args:
        title: what stands above; in a plain font, which shows other than Latin letters as question marks.
        steps: of each look, [looks].
        exponents: powers of two, one after the other, [exponents].
        counts: elements of either sign, [looks, exponents].
        zeros: [looks].
        nonfinite: [looks].
    """
    from PIL import Image, ImageDraw

    rows = np.vstack([counts[:, ::-1].T, zeros, nonfinite]).astype(float)
    cells = shades(rows / np.maximum(rows.sum(0), 1))
    across, down = cell(len(steps), len(cells))
    width, height = across * len(steps), down * len(cells)
    canvas = np.full((TOP + height + BOTTOM, LEFT + width + RIGHT), _PAPER, np.uint8)
    canvas[TOP : TOP + height, LEFT : LEFT + width] = cells.repeat(down, 0).repeat(across, 1)
    bar = slice(LEFT + width + 12, LEFT + width + 24)
    canvas[TOP : TOP + height, bar] = np.linspace(255, _EMPTY + 1, height).astype(np.uint8)[:, None]
    picture = Image.fromarray(canvas, "L")
    picture.putpalette(palette().tobytes())
    pen, letters = ImageDraw.Draw(picture), font()

    def write(x: int, y: int, text: str, **how: Any) -> None:
        pen.text((x, y), text.encode("latin-1", "replace").decode("latin-1"), fill=_INK, font=letters, **how)

    write(LEFT, 6, title)
    every = -(-20 // down)
    for place, exponent in enumerate(exponents[::-1].tolist()):
        if place % every == 0 and place < len(exponents) - every // 2:
            write(4, TOP + place * down - 2, f"2^{exponent}")
    write(4, TOP + height - 2 * down - 4, "zero")
    write(4, TOP + height - down + 2, "NaN, inf")
    for decade in range(0, _DECADES + 1, 2):
        write(bar.stop + 4, TOP + (height - 10) * decade // _DECADES, f"1e-{decade}" if decade else "all")
    labels = max(1, width // 80)
    for place in sorted({round(place) for place in np.linspace(0, len(steps) - 1, min(labels, len(steps)))}):
        write(LEFT + place * across, TOP + height + 4, f"{steps[place]}")
    write(LEFT, TOP + height + 15, "step")
    return picture
