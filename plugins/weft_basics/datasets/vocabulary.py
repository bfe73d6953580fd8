"""How texts become numbers: what a token is, and which tokens have a number of their own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from weft import Range
from weft_basics.sequences import PADDING, UNKNOWN

Unit = Annotated[
    Literal["character", "word"],
    "what a token is; word: letters and digits in a row, or a mark by itself, without the space between",
]
Tokens = Annotated[
    int,
    Range(1, 10_000_000, log=True),
    "different tokens to tell apart at most, the most frequent; all others are one, the unknown",
]
OFTEN = 2
"""Times that a token is met in training to be known. Those met once show what the unknown is like, as there is none else."""
_WORD = re.compile(r"\w+|[^\w\s]")
_NAMES = {PADDING: "<padding>", UNKNOWN: "<unknown>"}


def split_up(text: str, unit: str) -> Sequence[str]:
    """Return a text's tokens."""
    return text if unit == "character" else _WORD.findall(text)


class Vocabulary:
    """The tokens that training texts hold more than once, sorted, with the numbers from 2 on; all others have 1.

    Raises:
        ValueError: there are none.
    """

    def __init__(self, training: Iterable[Sequence[str]], source: str, most: int | None = None):
        counts: Counter[str] = Counter()
        for tokens in training:
            counts.update(tokens)
        known = sorted((token for token, count in counts.items() if count >= OFTEN), key=lambda token: (-counts[token], token))
        if not known:
            raise ValueError(f"{source} has no token that is met twice in the part for training: it is too short")
        self.names = (_NAMES[PADDING], _NAMES[UNKNOWN], *sorted(known[:most]))
        self._numbers = {token: number for number, token in enumerate(self.names) if number > UNKNOWN}

    def __len__(self) -> int:
        return len(self.names)

    def numbers(self, tokens: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of each of the tokens (T,)."""
        return np.fromiter((self._numbers.get(token, UNKNOWN) for token in tokens), np.int64, len(tokens))
