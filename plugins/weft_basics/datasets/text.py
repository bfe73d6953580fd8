"""A text of your own, to learn to write like."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from weft_basics.datasets.dataset import Dataset
from weft_basics.datasets.next_token import blocks, language_modelling
from weft_basics.datasets.plain_text import files, read
from weft_basics.datasets.split import Test, Valid
from weft_basics.datasets.vocabulary import Tokens, Unit, split_up
from weft_basics.datasets.windows import Length, whole


def text(
    path: Annotated[str, "of a file in UTF-8, or of a folder with three or more that end in .txt"],
    split_seed: int,
    unit: Unit = "character",
    length: Length = 128,
    tokens: Tokens = 10_000,
    valid: Valid = 0.15,
    test: Test = 0.15,
) -> Dataset:
    """The next character, or word, of the text in a file, or of all texts in a folder.

    A file is cut into a hundred blocks or more, and these are dealt out to the splits: its end alone may be unlike the rest.
    Of a folder, and of the folders in it, whole files are dealt out. Samples don't overlap, and none has its last target in
    another split; the last of a block or file is padded. Tokens met once in training are unknown, as those met never.

    Raises:
        ValueError: a path that isn't there, a file that isn't UTF-8 or has too few tokens, fewer than three files in a
            folder, or shares that leave nothing for training.
    """
    place = Path(os.path.expanduser(path))
    if os.path.isdir(place):
        splits = _folder(place, unit, length, valid, test, split_seed)
    elif os.path.isfile(place):
        splits = blocks(split_up(read(place), unit), length, valid, test, split_seed, path)
    else:
        raise ValueError(f"there is no file or folder {place}")
    return language_modelling(splits, length, tokens, path)


def _folder(folder: Path, unit: str, length: int, valid: float, test: float, seed: int) -> list[list[Sequence[str]]]:
    found = files(folder, ".txt")
    if len(found) < 3:
        raise ValueError(
            f"{folder} has {len(found)} files that end in .txt, and three splits of whole files need three or more; a file "
            "that is given by its own path is cut up"
        )
    texts = {name: split_up(read(file), unit) for name, file in found.items()}
    for name, tokens in texts.items():
        if len(tokens) < 2:
            raise ValueError(f"{found[name]} has {len(tokens)} tokens: two are needed, one to come after the other")
    steps = {name: len(tokens) - 1 for name, tokens in texts.items()}
    return [[texts[name] for name in names] for names in whole(steps, length, valid, test, seed)]
