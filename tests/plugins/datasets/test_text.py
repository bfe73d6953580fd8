"""Texts from files, as samples of language modelling: read as they were written, cut without anything in two splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.baselines import trigram_bits
from weft_basics.datasets.dataset import Dataset
from weft_basics.datasets.next_token import blocks
from weft_basics.datasets.text import text
from weft_basics.datasets.vocabulary import Vocabulary, split_up
from weft_basics.sequences import IGNORED, PADDING, UNKNOWN
from weft_basics.tasks import LanguageModelling

SPLITS = ("train", "valid", "test")
SHAKESPEARE = Path(__file__).parents[4] / "shared" / "data" / "tinyshakespeare.txt"
FOX = "The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs!\n"


def written(folder: Path, said: str | bytes, name: str = "said.txt") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(said.encode() if isinstance(said, str) else said)
    return str(path)


def read_back(dataset: Dataset, split: str) -> list[str]:
    """Return the text of each sample, its last target included."""
    inputs, targets = getattr(dataset, split)
    found = []
    for tokens, following in zip(inputs.tolist(), targets.tolist(), strict=True):
        length = sum(target != IGNORED for target in following)
        assert tokens[1:length] == following[: length - 1], "a target is the token that comes next"
        assert all(token == PADDING for token in tokens[length:])
        assert all(target == IGNORED for target in following[length:])
        assert PADDING not in [*tokens[:length], *following]
        found.append("".join(dataset.classes[token] for token in [*tokens[:length], following[length - 1]]))
    return found


def test_samples_are_parts_of_the_text_and_hold_all_of_it(tmp_path: Path) -> None:
    said = FOX * 40
    dataset = text(written(tmp_path, said), 0, length=16)
    parts = [part for split in SPLITS for part in read_back(dataset, split)]
    assert all(part in said for part in parts)
    targets = sum(int((getattr(dataset, split)[1] != IGNORED).sum()) for split in SPLITS)
    size = (len(said) // 100 - 1) // 16 * 16 + 1
    assert targets == len(said) - -(-len(said) // size), "each token but a block's first is a target"
    assert (dataset.task, dataset.inputs) == ("language_modelling", (16,))
    assert dataset.outputs == dataset.vocabulary == len(dataset.classes) == 2 + len(set(said))
    assert dataset.classes == ("<padding>", "<unknown>", *sorted(set(said)))
    for split in SPLITS:
        LanguageModelling().check(dataset.outputs, getattr(dataset, split)[1])
        assert getattr(dataset, split)[0].dtype == torch.int64


@given(st.integers(0, 3000), st.integers(1, 70), st.floats(0.01, 0.3), st.floats(0.01, 0.3), st.integers(0, 9))
def test_no_token_is_in_two_splits_and_all_are_in_one(count: int, length: int, valid: float, test: float, seed: int) -> None:
    tokens = [str(place) for place in range(count)]
    if count < 2 * length + 4:
        with pytest.raises(
            ValueError, match=f"here has {count} tokens, which are no three splits of samples of length={length}"
        ):
            blocks(tokens, length, valid, test, seed, "here")
        return
    splits = blocks(tokens, length, valid, test, seed, "here")
    assert all(splits)
    assert all(len(block) > 1 and list(block) == tokens[int(block[0]) :][: len(block)] for split in splits for block in split)
    found = sorted(int(token) for split in splits for block in split for token in block)
    assert found in (list(range(count)), list(range(count - 1))), "one that is alone at the end has nothing to come after it"
    if count >= 100 * (length + 1):
        assert sum(map(len, splits)) >= 100
        for split, share in zip(splits[1:], (valid, test), strict=True):
            assert sum(map(len, split)) / count == pytest.approx(share, abs=0.02)


def test_the_longest_sample_that_is_advised_is_possible(tmp_path: Path) -> None:
    path = written(tmp_path, FOX)
    with pytest.raises(ValueError, match="has 86 tokens, .* length=128: take length=41 or less"):
        text(path, 0)
    assert [len(getattr(text(path, 0, length=41), split)[0]) for split in SPLITS] == [1, 1, 1]
    with pytest.raises(ValueError, match="length=42: take length=41 or less"):
        text(path, 0, length=42)


def test_what_only_valid_and_test_hold_is_unknown(tmp_path: Path) -> None:
    """Each character stands twice, side by side: known is what training has both of."""
    said = "".join(chr(0x4E00 + place) * 2 for place in range(4000))
    dataset = text(written(tmp_path, said), 0, length=8)
    assert set(dataset.valid[0].unique().tolist()) <= {PADDING, UNKNOWN}
    assert set(dataset.test[1].unique().tolist()) <= {IGNORED, UNKNOWN}
    trained = "".join(read_back(dataset, "train"))
    assert set(trained) > {*dataset.classes[2:]}
    assert list(dataset.classes[2:]) == sorted(dataset.classes[2:])


def test_the_rare_are_unknown_in_training_too() -> None:
    made = Vocabulary(["abbccc", "adc"], "here")
    assert made.names == ("<padding>", "<unknown>", "a", "b", "c")
    assert made.numbers("abdz").tolist() == [2, 3, UNKNOWN, UNKNOWN]
    assert Vocabulary(["abbccc", "adc"], "here", most=2).names[2:] == ("a", "c"), "among as frequent ones, the first in order"
    assert len(Vocabulary([["to", "be", "to"]], "here")) == 3
    with pytest.raises(ValueError, match="here has no token that is met twice"):
        Vocabulary(["abc"], "here")


def test_words_are_told_apart_from_marks(tmp_path: Path) -> None:
    assert list(split_up("Don't  over-do\nit: naïve_2, 3.5!", "word")) == [
        *("Don", "'", "t", "over", "-", "do", "it", ":", "naïve_2", ",", "3", ".", "5", "!")
    ]
    dataset = text(written(tmp_path, FOX * 30), 0, unit="word", length=10)
    assert dataset.classes[2:] == tuple(sorted({*FOX.replace(".", " .").replace("!", " !").split()}))
    assert int((dataset.train[0] == UNKNOWN).sum()) == 0
    few = text(written(tmp_path, FOX * 30), 0, unit="word", length=10, tokens=4)
    assert few.outputs == few.vocabulary == 6
    assert float((few.train[0] == UNKNOWN).float().mean()) > 0.5


def test_a_folder_s_files_stay_whole(tmp_path: Path) -> None:
    names = [f"{letter}.txt" for letter in "abcdefghij"] + ["deeper/k.txt", "deeper/still/l.TXT"]
    for name in names:
        written(tmp_path, Path(name).stem * 70, name)
    for other in ("z.md", ".z.txt", ".hidden/z.txt"):
        written(tmp_path, b"\xff", other)
    (tmp_path / "m.txt").mkdir()
    dataset = text(str(tmp_path), 0, length=20, valid=0.25, test=0.25)
    letters = {split: {*"".join(read_back(dataset, split)).replace("<unknown>", "")} for split in SPLITS}
    assert len(letters["train"]) == 6
    assert letters["valid"] == letters["test"] == set(), "what they hold is in no file for training"
    for split, files in (("train", 6), ("valid", 3), ("test", 3)):
        inputs, targets = getattr(dataset, split)
        assert len(inputs) == 4 * files
        assert (targets != IGNORED).sum(1).tolist() == [20, 20, 20, 9] * files


def test_a_mark_of_the_byte_order_and_returns_are_no_part_of_a_text(tmp_path: Path) -> None:
    plain = text(written(tmp_path, FOX * 9), 0, length=9)
    marked = text(written(tmp_path, b"\xef\xbb\xbf" + FOX.replace("\n", "\r\n").encode() * 9, "marked.txt"), 0, length=9)
    assert marked.classes == plain.classes
    assert torch.equal(marked.train[0], plain.train[0])


@pytest.mark.parametrize("unit", ["character", "word"])
def test_the_same_seed_gives_the_same_splits_and_another_others(tmp_path: Path, unit: Any) -> None:
    path = written(tmp_path, FOX * 60)
    state = torch.get_rng_state()
    first, again, other = (text(path, seed, unit, length=8) for seed in (3, 3, 4))
    assert torch.equal(state, torch.get_rng_state()), "it drew from torch's own generator"
    for split in SPLITS:
        for place in (0, 1):
            assert torch.equal(getattr(first, split)[place], getattr(again, split)[place])
    assert not torch.equal(first.test[0], other.test[0])


def folder_of(*texts: str | bytes) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        for place, said in enumerate(texts):
            written(folder, said, f"{place}.txt")
        return str(folder)

    return make


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda folder: str(folder / "missing.txt"), {}, "there is no file or folder .*missing.txt"),
        (lambda folder: str(folder), {}, "has 0 files that end in .txt, and three splits of whole files need three"),
        (folder_of(FOX, FOX), {}, "has 2 files that end in .txt, .* a file that is given by its own path is cut up"),
        (folder_of(FOX, FOX, ""), {}, "2.txt has 0 tokens: two are needed"),
        (folder_of(FOX, "one", FOX), {"unit": "word"}, "1.txt has 1 tokens: two are needed"),
        (folder_of(FOX, FOX, b"\xff\xfe\x00"), {}, "2.txt is no text in UTF-8: byte 0 is 0xff"),
        (folder_of(FOX, FOX, FOX), {"valid": 0.5, "test": 0.5}, "leave nothing for training"),
        (lambda folder: written(folder, ""), {}, "said.txt has 0 tokens, .* too short for any"),
        (lambda folder: written(folder, " \n "), {"unit": "word"}, "said.txt has 0 tokens, .* too short for any"),
        (lambda folder: written(folder, "abcde"), {"length": 1}, "said.txt has 5 tokens, .* too short for any"),
        (lambda folder: written(folder, "abcdefgh"), {"length": 1}, "said.txt has no token that is met twice"),
        (lambda folder: written(folder, FOX), {}, "said.txt has 86 tokens, .* length=128: take length=41 or less"),
        (lambda folder: written(folder, FOX * 9), {"valid": 0.9, "test": 0.2}, "leave nothing for training"),
        (lambda folder: written(folder, b"caf\xc3\xa9 caf\xe9"), {}, r"byte 9 is 0xe9 \(unexpected end of data\)"),
        (lambda folder: written(folder, b"\xef\xbb\xbfab\x80"), {}, r"byte 5 is 0x80 \(invalid start byte\)"),
    ],
)
def test_texts_that_can_t_be_used_are_refused_with_the_place(
    tmp_path: Path, make: Callable[[Path], str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        text(make(tmp_path), 0, **options)


def test_what_can_t_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    path = written(tmp_path, FOX)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ValueError, match="said.txt can't be read: Permission denied"):
        text(path, 0)


def test_a_folder_that_can_t_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(ValueError, match=f"{tmp_path.name} can't be read: Permission denied"):
        text(str(tmp_path), 0)


@pytest.mark.skipif(not SHAKESPEARE.is_file(), reason="shared/data/tinyshakespeare.txt is not here")
def test_shakespeare_takes_a_trigram_model_less_than_three_bits_a_character() -> None:
    dataset = text(str(SHAKESPEARE), 0)
    said = SHAKESPEARE.read_text(encoding="utf-8")
    assert set(said) - set(dataset.classes) == {"$"}, "it is there once"
    assert all(part in said for part in read_back(dataset, "test")[::50])
    assert sum(int((getattr(dataset, split)[1] != IGNORED).sum()) for split in SPLITS) > 0.999 * len(said)
    assert 2.7 < trigram_bits(dataset.train, dataset.test, dataset.outputs) < 2.95
