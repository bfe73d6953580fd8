"""Texts from folders, of several classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.plugins.datasets.test_text import written
from weft_basics.datasets.text_folder import text_folder
from weft_basics.sequences import PADDING, UNKNOWN
from weft_basics.tasks import Classification

SPLITS = ("train", "valid", "test")


def letters(folder: Path, count: int = 20) -> str:
    """Write texts of two classes, which begin with the words good or bad, and are of 1 to 5 words."""
    for kind, word in (("praise", "good"), ("blame", "bad")):
        for place in range(count):
            written(folder, f"{word} " + "so " * (place % 5), f"{kind}/{place:02}.txt")
    return str(folder)


def test_a_folder_is_a_class_and_a_file_a_text(tmp_path: Path) -> None:
    written(tmp_path, "about these texts", "README")
    dataset = text_folder(letters(tmp_path), 0, length=4)
    assert (dataset.task, dataset.inputs, dataset.outputs) == ("classification", (4,), 2)
    assert dataset.classes == ("blame", "praise")
    assert dataset.vocabulary == 5, "padding, the unknown, bad, good, so"
    assert [len(getattr(dataset, split)[0]) for split in SPLITS] == [28, 6, 6]
    for split in SPLITS:
        inputs, labels = getattr(dataset, split)
        Classification().check(2, labels)
        assert inputs.dtype == torch.int64
        assert torch.equal(inputs[:, 0], 2 + labels), "bad is blame, good is praise"
        assert sorted(labels.unique().tolist()) == [0, 1]
        for tokens in inputs.tolist():
            words = [token for token in tokens if token != PADDING]
            assert tokens == words + [PADDING] * (4 - len(words))
            assert set(words[1:]) <= {4}
    lengths = torch.cat([(getattr(dataset, split)[0] != PADDING).sum(1) for split in SPLITS])
    assert torch.bincount(lengths).tolist() == [0, 8, 8, 8, 16], "five words are cut to four"


def test_characters_are_tokens_too(tmp_path: Path) -> None:
    dataset = text_folder(letters(tmp_path), 0, unit="character", length=6)
    assert dataset.vocabulary == 2 + len({*"good bad so "})
    assert set((dataset.train[0] != PADDING).sum(1).tolist()) == {4, 5, 6}


def test_only_words_of_training_texts_are_known_and_only_those_not_cut_off(tmp_path: Path) -> None:
    for place in range(30):
        written(tmp_path, f"same w{place} w{place} then then", f"{'ab'[place % 2]}/{place}.txt")
    dataset = text_folder(str(tmp_path), 0, length=3)
    assert dataset.vocabulary == 2 + 1 + len(dataset.train[0]), "same, and each one's own"
    assert (dataset.train[0] == UNKNOWN).sum() == 0
    for split in ("valid", "test"):
        assert bool((getattr(dataset, split)[0][:, 1:] == UNKNOWN).all())
    assert text_folder(str(tmp_path), 0, length=3, tokens=2).vocabulary == 4


def test_splits_can_be_folders_and_groups_stay_together(tmp_path: Path) -> None:
    for split in ("train", "test"):
        letters(tmp_path / "split" / split, 10 if split == "train" else 4)
    dataset = text_folder(str(tmp_path / "split"), 0)
    assert [len(getattr(dataset, split)[0]) for split in SPLITS] == [16, 4, 8]
    for place in range(40):
        written(tmp_path / "flat", f"by{place % 8} by{place % 8}", f"{'ab'[place // 8 % 2]}-{place % 8}-{place}.txt")
    grouped = text_folder(str(tmp_path / "flat"), 0, "{label}-{group}-{index}.txt", "group", valid=0.25, test=0.25)
    assert [len(getattr(grouped, split)[0]) for split in SPLITS] == [20, 10, 10]
    assert bool((grouped.test[0][:, 0] == UNKNOWN).all()), "no writer of the test wrote for training"


def test_the_same_seed_gives_the_same_splits_and_another_others(tmp_path: Path) -> None:
    path = letters(tmp_path)
    first = text_folder(path, 3)
    torch.manual_seed(99)
    again, other = text_folder(path, 3), text_folder(path, 4)
    for split in SPLITS:
        for place in (0, 1):
            assert torch.equal(getattr(first, split)[place], getattr(again, split)[place])
    assert any(not torch.equal(getattr(first, split)[0], getattr(other, split)[0]) for split in SPLITS)


def beside(name: str, said: str | bytes) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        letters(folder)
        written(folder, said, name)
        return str(folder)

    return make


def one_class(folder: Path) -> str:
    written(folder, "alone", "only/a.txt")
    return str(folder)


def empty_class(folder: Path) -> str:
    (folder / "silence").mkdir()
    return letters(folder)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda folder: str(folder / "missing"), {}, "there is no folder .*missing"),
        (lambda folder: str(folder), {}, "has no folders in it"),
        (one_class, {}, "has one class only: only"),
        (empty_class, {}, "silence has nothing in it"),
        (beside("shrug/a.txt", "well"), {}, r"too few samples .*: shrug \(1\)"),
        (beside("praise/empty.txt", ""), {}, "empty.txt has no word in it"),
        (beside("praise/empty.txt", ""), {"unit": "character"}, "empty.txt has no character in it"),
        (beside("praise/blank.txt", " \n"), {}, "blank.txt has no word in it"),
        (beside("praise/latin.txt", b"caf\xe9"), {}, "latin.txt is no text in UTF-8: byte 3 is 0xe9"),
        (letters, {"valid": 0.5, "test": 0.5}, "leave nothing for training"),
    ],
)
def test_folders_that_can_t_be_used_are_refused_with_the_place(
    tmp_path: Path, make: Callable[[Path], str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        text_folder(make(tmp_path), 0, **options)
