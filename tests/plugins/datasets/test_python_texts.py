"""The texts that come with Python: nothing of the test is in training, and what is to be learned can't be read off."""

from __future__ import annotations

import keyword
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import MultinomialNB

from tests.plugins.baselines import majority_accuracy, trigram_bits
from weft_basics.datasets import python_packages as packages
from weft_basics.datasets import python_tokens as tokens
from weft_basics.datasets.dataset import Dataset
from weft_basics.datasets.python_library import folder
from weft_basics.datasets.python_packages import PACKAGES, python_packages
from weft_basics.datasets.python_tokens import CLASSES, MODULES, python_tokens
from weft_basics.datasets.python_topics import python_topics
from weft_basics.sequences import IGNORED, PADDING, UNKNOWN
from weft_basics.tasks import Classification, LanguageModelling, SequenceLabelling

SPLITS = ("train", "valid", "test")
MAKERS: tuple[Callable[..., Dataset], ...] = (python_topics, python_tokens, python_packages)
TASKS = {"classification": Classification, "sequence_labelling": SequenceLabelling, "language_modelling": LanguageModelling}


@pytest.mark.parametrize("make", MAKERS)
def test_shape_types_task_and_source(make: Callable[..., Dataset]) -> None:
    dataset = make(0)
    assert dataset.vocabulary is not None
    for split in SPLITS:
        inputs, targets = getattr(dataset, split)
        assert inputs.dtype == targets.dtype == torch.int64
        assert inputs.shape[1:] == dataset.inputs
        assert 0 <= int(inputs.min()) <= int(inputs.max()) < dataset.vocabulary
        TASKS[dataset.task]().check(dataset.outputs, targets)
    assert len(dataset.classes) == dataset.outputs
    assert dataset.source.startswith(f"Python {platform.python_version()}, ")
    counts = torch.tensor([len(getattr(dataset, split)[0]) for split in SPLITS])
    torch.testing.assert_close(counts / counts.sum(), torch.tensor([0.7, 0.15, 0.15]), rtol=0, atol=0.04)
    assert 2000 < int(counts.sum()) < 5000


@pytest.mark.parametrize("make", MAKERS)
def test_the_same_seed_gives_the_same_splits_and_another_others(make: Callable[..., Dataset]) -> None:
    state = torch.get_rng_state()
    first, again, other = (make(seed) for seed in (3, 3, 4))
    assert torch.equal(state, torch.get_rng_state()), "it drew from torch's own generator"
    for split in SPLITS:
        for place in (0, 1):
            assert torch.equal(getattr(first, split)[place], getattr(again, split)[place])
    assert not torch.equal(first.test[0], other.test[0])


def test_topics_of_the_test_are_in_no_topic_of_training() -> None:
    dataset = python_topics(0)

    def said(split: str) -> list[str]:
        return [
            "".join(dataset.classes[token] for token in row if token != PADDING) for row in getattr(dataset, split)[0].tolist()
        ]

    trained = "".join(said("train"))
    found = [part[30:110] in trained for part in said("test")]
    assert sum(found) / len(found) < 0.05, "lines of tables; a fifth of the topics' paragraphs stands in others too"


def test_topics_have_more_to_learn_than_three_characters() -> None:
    dataset = python_topics(0)
    assert 2.3 < trigram_bits(dataset.train, dataset.test, dataset.outputs) < 3
    words = python_topics(0, unit="word", length=32)
    assert 5 < trigram_bits(words.train, words.test, words.outputs) < 7


def test_a_python_without_topics_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ValueError, match="this Python has no pydoc_data.topics"):
        python_topics(0)


def library(monkeypatch: pytest.MonkeyPatch, module: ModuleType, files: dict[str, str], place: Path) -> None:
    """Have a module read the standard library from these files."""
    for name, said in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(said, encoding="utf-8", newline="")
    monkeypatch.setattr(module, "folder", lambda: place)


PROGRAM = [
    ("comment", "# über"),
    ("space", "\n"),
    ("keyword", "def"),
    ("space", " "),
    ("name", "f"),
    ("operator", "("),
    ("name", "ß"),
    ("operator", ":"),
    ("space", " "),
    ("name", "int"),
    ("operator", "="),
    ("number", "0x1F"),
    ("operator", "):"),
    ("space", "\n    "),
    ("string", '"""Say\n\n    é # no comment"""'),
    ("space", "\n    "),
    ("name", "print"),
    ("operator", "("),
    ("string", "f'{1 + 2:>{3}} {ß!r} {{'"),
    ("operator", ","),
    ("space", " \\\n        "),
    ("string", "rb'\\n'"),
    ("operator", ")"),
    ("space", "\f\n    "),
    ("keyword", "return"),
    ("space", " "),
    ("name", "match"),
    ("operator", "**"),
    ("number", "1e-3j"),
    ("space", "  "),
    ("comment", "# done"),
    ("space", "\n"),
]


def labelled(monkeypatch: pytest.MonkeyPatch, place: Path, said: str) -> list[str]:
    """Return the kinds of a program's characters, where all modules are that program."""
    library(monkeypatch, tokens, {f"{name}.py": said for name in MODULES}, place)
    inputs, targets = python_tokens(0, length=64).train
    rows = -(-len(said) // 64)
    assert len(inputs) % rows == 0
    parts = targets.flatten().split(rows * 64)
    assert all(torch.equal(part, parts[0]) for part in parts)
    assert torch.equal(targets == IGNORED, inputs == PADDING)
    return [CLASSES[label] for label in parts[0].tolist() if label != IGNORED]


@pytest.mark.parametrize("end", ["", "x", "\n\n\n"])
def test_characters_are_labelled_by_the_token_they_belong_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    said = "".join(part for _, part in PROGRAM) + end
    expected = [kind for kind, part in PROGRAM for _ in part] + ["name" if end == "x" else "space"] * len(end)
    assert labelled(monkeypatch, tmp_path, said) == expected


@pytest.mark.parametrize("module", ["heapq", "queue", "plistlib", "socketserver"])
def test_labels_are_those_of_pygments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    lexers = pytest.importorskip("pygments.lexers", reason="pygments is not installed")
    from pygments.token import Comment, Number, String

    said = (folder() / f"{module}.py").read_text(encoding="utf-8")
    theirs: list[str] = []
    for kind, part in lexers.PythonLexer(stripnl=False, ensurenl=False).get_tokens(said):
        if part.isspace() and kind not in String:
            found = "space"
        elif keyword.iskeyword(part):  # some are names or operators there
            found = "keyword"
        elif part.replace(".", "").isidentifier() and not any(kind in other for other in (Comment, Number, String)):
            found = "name"
        else:
            found = "comment" if kind in Comment else "string" if kind in String else "number" if kind in Number else "operator"
        theirs += [found] * len(part)
    ours = labelled(monkeypatch, tmp_path, said)
    assert len(ours) == len(theirs) == len(said)
    different = [place for place, (one, other) in enumerate(zip(ours, theirs, strict=True)) if one != other]
    assert len(different) / len(said) < 0.005, [
        (said[place - 9 : place + 9], ours[place], theirs[place]) for place in different[:5]
    ]


def test_characters_alone_do_not_tell_their_labels() -> None:
    for seed in range(3):
        assert 0.4 < majority_accuracy(python_tokens(seed)) < 0.65


def test_modules_that_are_not_there_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library(monkeypatch, tokens, {f"{name}.py": f"{name} = 1\n" * 20 for name in MODULES[:10]}, tmp_path)
    assert "10 modules" in python_tokens(0).source
    (tmp_path / f"{MODULES[0]}.py").unlink()
    with pytest.raises(ValueError, match=f"python_tokens reads the sources of {len(MODULES)} modules, and .* has 9 of them"):
        python_tokens(0)


def test_whole_modules_are_in_one_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{name}.py": chr(0x4E00 + place) * 200 for place, name in enumerate(MODULES)}
    library(monkeypatch, tokens, files, tmp_path)
    dataset = python_tokens(0)
    trained = len(dataset.train[0]) // 2
    assert dataset.vocabulary == 2 + trained
    assert int(dataset.valid[0].max()) == int(dataset.test[0].max()) == UNKNOWN


def dealt(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Return the text, package and split of each piece."""
    found: list[tuple[str, str, str]] = []

    def keep(texts: list[str], labels: list[int], classes: list[str], *rest: int, places: list[str], **others: Any) -> None:
        found.extend(zip(texts, (classes[label] for label in labels), places, strict=True))

    monkeypatch.setattr(packages, "labelled_texts", keep)
    python_packages(0, unit="character")
    return found


def test_pieces_are_lines_of_their_package_that_do_not_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = dealt(monkeypatch)
    lines = {
        package: {
            line.rstrip()[:199]
            for file in (folder() / package).rglob("*.py")
            for line in file.read_text(encoding="utf-8").splitlines()
        }
        for package in PACKAGES
    }
    assert len({piece for piece, _, _ in pieces}) == len(pieces) > 3000
    for piece, package, _ in pieces:
        assert 20 < len(piece) <= 200
        assert lines[package].issuperset(piece.splitlines())
        assert not any(name in piece.lower() for name in PACKAGES)
        assert not any(line.split()[0] in ("import", "from") for line in piece.splitlines())
    for split in SPLITS:
        assert {package for _, package, place in pieces if place == split} == {*PACKAGES}


def test_whole_files_are_in_one_split_and_no_piece_is_there_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notice = "# this is said in all\n" * 9
    files = {
        f"{package}/{'deeper/' * (file % 2)}{file}.py": notice + f"{package[0]}{file} = {package[0]}{file}\n" * 1000
        for package in PACKAGES
        for file in range(8)
    }
    tests = {f"{package}/test/{file}.py": "tested = 1\n" * 100 for package in PACKAGES for file in range(8)}
    library(monkeypatch, packages, {**files, **tests, "asyncio/empty.py": "", "email/__init__.py": "import this\n"}, tmp_path)
    pieces = dealt(monkeypatch)
    assert sum("said in all" in piece for piece, _, _ in pieces) == 1
    named = [(piece.splitlines()[-1], package, place) for piece, package, place in pieces if "=" in piece]
    assert all(line[0] == package[0] for line, package, _ in named)
    places = {line: {place for other, _, place in named if other == line} for line, _, _ in named}
    assert len(places) == 8 * len(PACKAGES)
    assert all(len(found) == 1 for found in places.values())


def test_pieces_can_be_told_apart_by_their_words_but_not_by_how_many_there_are() -> None:
    for seed in range(3):
        dataset = python_packages(seed)
        assert dataset.vocabulary is not None
        counts = [
            np.stack([np.bincount(row, minlength=dataset.vocabulary)[1:] for row in getattr(dataset, split)[0].numpy()])
            for split in SPLITS
        ]
        labels = [getattr(dataset, split)[1].numpy() for split in SPLITS]
        assert np.bincount(labels[2]).max() / len(labels[2]) < 0.35
        assert MultinomialNB().fit(counts[0], labels[0]).score(counts[2], labels[2]) > 0.6


def test_a_python_without_its_sources_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library(monkeypatch, packages, {f"asyncio/{file}.py": "line = 1\n" * 100 for file in "abc"}, tmp_path)
    with pytest.raises(ValueError, match="python_packages reads the sources of email, and .*email has 0 files of them"):
        python_packages(0)
    (tmp_path / "asyncio" / "a.py").unlink()
    with pytest.raises(ValueError, match="python_packages reads the sources of asyncio, and .*asyncio has 2 files of them"):
        python_packages(0)
