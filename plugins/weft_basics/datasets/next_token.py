"""Texts as samples of language modelling: at each place, the token that comes next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from weft_basics.datasets.dataset import Dataset, Pair
from weft_basics.datasets.split import shuffled
from weft_basics.datasets.vocabulary import Vocabulary
from weft_basics.datasets.windows import windows
from weft_basics.sequences import IGNORED, PADDING

BLOCKS = 100
"""Blocks at least that a text is cut into, where it is long enough: so many that each split has something of all its parts."""


def blocks(tokens: Sequence[str], length: int, valid: float, test: float, seed: int, source: str) -> list[list[Sequence[str]]]:
    """Return the splits of one text: blocks of it, each some samples long.

    A block has one token more than its samples, the last one's target: none has its target in another block.

    Raises:
        ValueError: the text is too short for three blocks, or shares that leave nothing for training.
    """
    size = max(1, (len(tokens) // BLOCKS - 1) // length) * length + 1
    found = [tokens[start : start + size] for start in range(0, len(tokens) - 1, size)]
    if len(found) < 3:
        longest = (len(tokens) - 4) // 2
        advice = f"take length={longest} or less" if longest > 0 else "it is too short for any"
        raise ValueError(
            f"{source} has {len(tokens)} tokens, which are no three splits of samples of length={length}: {advice}"
        )
    return [[found[place] for place in chosen] for chosen in shuffled(len(found), valid, test, seed)]


def language_modelling(splits: Sequence[Sequence[Sequence[str]]], length: int, most: int, source: str) -> Dataset:
    """Return the dataset of three splits, each some texts of two tokens or more. `most` tokens are told apart.

    Raises:
        ValueError: the texts for training hold no token twice.
    """
    vocabulary = Vocabulary(splits[0], source, most)

    def pair(texts: Sequence[Sequence[str]]) -> Pair:
        numbers = [vocabulary.numbers(tokens) for tokens in texts]
        inputs = [windows(text[:-1], length, PADDING) for text in numbers]
        targets = [windows(text[1:], length, IGNORED) for text in numbers]
        return torch.from_numpy(np.concatenate(inputs)), torch.from_numpy(np.concatenate(targets))

    train, valid, test = map(pair, splits)
    names, size = vocabulary.names, len(vocabulary)
    return Dataset("language_modelling", (length,), size, train, valid, test, source, names, size, names)
