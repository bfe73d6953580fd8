"""Texts of your own, of several classes."""

from __future__ import annotations

from typing import Annotated

from weft_basics.datasets.dataset import Dataset
from weft_basics.datasets.folder import Pattern, Split, samples
from weft_basics.datasets.labelled_texts import labelled_texts
from weft_basics.datasets.plain_text import read
from weft_basics.datasets.split import Test, Valid
from weft_basics.datasets.vocabulary import Tokens, Unit, split_up
from weft_basics.datasets.windows import Length

SUFFIXES = (".txt",)


def text_folder(
    path: Annotated[str, "of a folder that has one folder for each class, or files whose names a pattern describes"],
    split_seed: int,
    pattern: Pattern = None,
    split: Split = "stratified",
    unit: Unit = "word",
    length: Length = 256,
    tokens: Tokens = 10_000,
    valid: Valid = 0.15,
    test: Test = 0.15,
) -> Dataset:
    """Files of text in UTF-8 that end in .txt, by their words or characters; a folder, or a part of the name, is the class.

    A text is cut to its first `length` tokens, or padded. Tokens met once in training are unknown, as those met never.
    Folders called train, valid and test are splits; of those, a missing one is taken from train.

    Raises:
        ValueError: a folder or file that isn't there or can't be read, a text without a token, a name that the pattern
            doesn't fit, or classes or groups with too few samples.
    """
    found = samples(path, SUFFIXES, pattern, split)
    texts = [split_up(read(file), unit) for file in found.files]
    for file, text in zip(found.files, texts, strict=True):
        if not text:
            raise ValueError(f"{file} has no {unit} in it")
    return labelled_texts(
        texts,
        found.labels,
        found.classes,
        length,
        tokens,
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=path,
        groups=found.groups,
        places=found.places,
    )
