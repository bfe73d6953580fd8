"""A language model's first text: English that comes with Python."""

from __future__ import annotations

from weft_basics.datasets.dataset import Dataset
from weft_basics.datasets.next_token import blocks, language_modelling
from weft_basics.datasets.python_library import source
from weft_basics.datasets.split import Test, Valid
from weft_basics.datasets.vocabulary import Tokens, Unit, split_up
from weft_basics.datasets.windows import Length


def python_topics(
    split_seed: int,
    unit: Unit = "character",
    length: Length = 128,
    tokens: Tokens = 10_000,
    valid: Valid = 0.15,
    test: Test = 0.15,
) -> Dataset:
    """The next character, or word, of what Python's help() says about the language: some 400,000 characters of English.

    The text is that of `pydoc_data.topics`, which differs a little from one version to the next, cut up and dealt out as
    `text` does with a file. Paragraphs that stand in several topics, which a fifth of it is, are taken once: else much of
    the test would have been trained on.

    Raises:
        ValueError: this Python comes without its topics, samples that are too long, or shares that leave nothing for
            training.
    """
    name = source("pydoc_data.topics")
    splits = blocks(split_up(_text(), unit), length, valid, test, split_seed, name)
    return language_modelling(splits, length, tokens, name)


def _text() -> str:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise ValueError(f"this Python has no pydoc_data.topics, which python_topics reads: {error}") from error
    paragraphs = (paragraph.strip("\n") for topic in sorted(topics) for paragraph in topics[topic].split("\n\n"))
    return "\n\n".join(dict.fromkeys(paragraphs))
