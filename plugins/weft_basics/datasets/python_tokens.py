"""Each character's part in a program: what an editor colours it by."""

from __future__ import annotations

import io
import keyword
import tokenize
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from weft_basics.datasets.dataset import Dataset, Pair
from weft_basics.datasets.plain_text import read
from weft_basics.datasets.python_library import folder, source
from weft_basics.datasets.split import Test, Valid
from weft_basics.datasets.vocabulary import Vocabulary
from weft_basics.datasets.windows import Length, whole, windows
from weft_basics.sequences import IGNORED, PADDING

MODULES = (
    *("base64", "calendar", "cmd", "code", "contextlib", "copy", "csv", "filecmp", "fileinput", "getopt", "gettext"),
    *("graphlib", "heapq", "linecache", "netrc", "plistlib", "poplib", "pprint", "queue", "sched", "selectors", "shelve"),
    *("shlex", "socketserver", "textwrap", "timeit", "wave", "weakref", "zipapp"),
)
"""Modules of the standard library that are one file of Python each, of some hundred lines, in all versions since 3.11."""
FEWEST = 10
"""Modules at least, where a Python has not all of them."""
CLASSES = ("space", "comment", "keyword", "name", "number", "operator", "string")


def python_tokens(split_seed: int, length: Length = 128, valid: Valid = 0.15, test: Test = 0.15) -> Dataset:
    """The kind of token that each character of a program belongs to: keyword, name, number, operator, string, comment, space.

    The programs are modules of Python's standard library, which differ a little from one version to the next; the kinds are
    those of its `tokenize`, with documentation among the strings. A sample may begin in the middle of a token. Whole modules
    are dealt out to the splits; what a module has left for its last sample is padded.

    Raises:
        ValueError: this Python comes without its sources, or shares that leave nothing for training.
    """
    texts = _sources()
    splits = whole({name: len(text) for name, text in texts.items()}, length, valid, test, split_seed)
    origin = source(f"{len(texts)} modules of the standard library")
    vocabulary = Vocabulary((texts[name] for name in splits[0]), origin)

    def pair(names: list[str]) -> Pair:
        inputs = [windows(vocabulary.numbers(texts[name]), length, PADDING) for name in names]
        targets = [windows(_kinds(texts[name]), length, IGNORED) for name in names]
        return torch.from_numpy(np.concatenate(inputs)), torch.from_numpy(np.concatenate(targets))

    train, validation, tested = map(pair, splits)
    return Dataset(
        "sequence_labelling",
        (length,),
        len(CLASSES),
        train,
        validation,
        tested,
        origin,
        CLASSES,
        len(vocabulary),
        vocabulary.names,
    )


def _sources() -> dict[str, str]:
    """Return the texts of the modules that are there."""
    paths = {name: folder() / f"{name}.py" for name in MODULES}
    found = {name: read(path) for name, path in paths.items() if path.is_file()}
    if len(found) < FEWEST:
        raise ValueError(
            f"python_tokens reads the sources of {len(MODULES)} modules, and {folder()} has {len(found)} of them, fewer than "
            f"{FEWEST}"
        )
    return found


def _kinds(text: str) -> NDArray[np.int64]:
    """Return the class (T,) of each character."""
    starts = np.cumsum([0, *map(len, io.StringIO(text))])
    found = np.zeros(len(text), np.int64)
    for kind, start, end in _tokens(text):
        found[starts[start[0] - 1] + start[1] : starts[end[0] - 1] + end[1]] = CLASSES.index(kind)
    return found


def _tokens(text: str) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    """Yield the kind, start and end (line, column) of each token that isn't space.

    Since 3.12 a string that is formatted is many tokens, which are one here, as they were before.
    """
    opened: list[tuple[int, int]] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        name = tokenize.tok_name[token.type]
        if name.endswith("STRING_START"):
            opened.append(token.start)
        elif name.endswith("STRING_END"):
            start = opened.pop()
            if not opened:
                yield "string", start, token.end
        elif not opened and name in _KINDS:
            is_keyword = name == "NAME" and keyword.iskeyword(token.string)
            yield "keyword" if is_keyword else _KINDS[name], token.start, token.end


_KINDS = {"COMMENT": "comment", "NAME": "name", "NUMBER": "number", "OP": "operator", "STRING": "string"}
