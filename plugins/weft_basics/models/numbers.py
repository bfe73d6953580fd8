"""What models of plain numbers share: a sample is read as all of its numbers, one after the other."""

from __future__ import annotations

import math


def numbers(inputs: tuple[int, ...], vocabulary: int | None, model: str) -> int:
    """Return how many numbers a sample has.

    Raises:
        ValueError: the samples are tokens.
    """
    if vocabulary is not None:
        raise ValueError(f"{model} takes numbers, and this dataset's samples are tokens; rnn takes them")
    return math.prod(inputs)
