"""How sequences become samples of one length, and how whole sequences are dealt out to the splits."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from weft import Range
from weft_basics.datasets.split import grouped

Length = Annotated[int, Range(1, 1_000_000, log=True), "of a sample, in tokens"]


def windows(numbers: NDArray[np.int64], length: int, fill: int) -> NDArray[np.int64]:
    """Return a sequence (T,) as windows (N, length) that follow each other, the last one filled up at its end."""
    count = -(-len(numbers) // length)
    return np.pad(numbers, (0, count * length - len(numbers)), constant_values=fill).reshape(count, length)


def whole(lengths: dict[str, int], length: int, valid: float, test: float, seed: int) -> list[list[str]]:
    """Return the names of the sequences in each split, where none is in two. `lengths` are theirs; the shares are those of
    the windows that they become.

    Raises:
        ValueError: there are fewer than three, or shares that leave nothing for training.
    """
    owners = [name for name, own in lengths.items() for _ in range(-(-own // length))]
    return [list(dict.fromkeys(owners[place] for place in chosen)) for chosen in grouped(owners, valid, test, seed)]
