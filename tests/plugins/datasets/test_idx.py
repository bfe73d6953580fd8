"""MNIST's format: written here by the letter of its description, read back, or refused by the file's name."""

from __future__ import annotations

import gzip
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from weft_basics.datasets.idx import idx, read

SPLITS = ("train", "valid", "test")
KINDS = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def packed(numbers: NDArray[Any]) -> bytes:
    """Return an array in IDX: two zeros, the type, the number of dimensions, these as 32 bits, the numbers, big end first."""
    head = struct.pack(f">BBBB{numbers.ndim}I", 0, 0, KINDS[numbers.dtype.str[1:]], numbers.ndim, *numbers.shape)
    return head + numbers.astype(numbers.dtype.newbyteorder(">")).tobytes()


def images(count: int, first: int = 0) -> NDArray[np.uint8]:
    """Return pictures of 3 x 2 pixels, the first of which is their number."""
    found = np.full((count, 3, 2), 255, np.uint8)
    found[:, 0, 0] = first + np.arange(count)
    return found


def labels(count: int) -> NDArray[np.uint8]:
    return (np.arange(count) % 4).astype(np.uint8)


def mnist(folder: Path, train: str = "train", test: str = "t10k", end: str = "-ubyte", **given: NDArray[Any]) -> Path:
    """Write the four files, of 40 samples and of 12, or of what is given by their names."""
    content = {
        "train_images": images(40),
        "train_labels": labels(40),
        "test_images": images(12, 100),
        "test_labels": labels(12),
        **given,
    }
    folder.mkdir(exist_ok=True)
    for name, numbers in content.items():
        split, what = name.split("_")
        path = folder / f"{train if split == 'train' else test}-{what}-idx{numbers.ndim}{end}"
        path.write_bytes(gzip.compress(packed(numbers)) if path.suffix == ".gz" else packed(numbers))
    return folder


def numbers(dataset: Any, split: str) -> list[int]:
    return (getattr(dataset, split)[0][:, 0, 0, 0] * 255).round().int().tolist()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"end": "-ubyte.gz"},
        {"end": ".ubyte"},
        {"train": "emnist-letters-train", "test": "emnist-letters-test", "end": "-ubyte.gz"},
    ],
)
def test_the_test_is_theirs_and_validation_is_taken_from_training(tmp_path: Path, given: dict[str, str]) -> None:
    dataset = idx(str(mnist(tmp_path, **given)), 0, valid=0.2)
    assert (dataset.task, dataset.inputs, dataset.outputs) == ("classification", (1, 3, 2), 4)
    assert (dataset.classes, dataset.source) == (("0", "1", "2", "3"), str(tmp_path))
    assert numbers(dataset, "test") == list(range(100, 112))
    assert sorted(numbers(dataset, "train") + numbers(dataset, "valid")) == list(range(40))
    assert torch.bincount(dataset.valid[1]).tolist() == [2, 2, 2, 2]
    for split in SPLITS:
        inputs, targets = getattr(dataset, split)
        assert inputs.dtype == torch.float32
        assert float(inputs[0, 0, 1, 1]) == 1
        assert targets.tolist() == [number % 4 for number in numbers(dataset, split)]


def test_the_same_seed_gives_the_same_splits_and_another_others(tmp_path: Path) -> None:
    first, again, other = (idx(str(mnist(tmp_path)), seed) for seed in (3, 3, 4))
    assert [numbers(first, split) for split in SPLITS] == [numbers(again, split) for split in SPLITS]
    assert numbers(first, "valid") != numbers(other, "valid")
    assert numbers(first, "test") == numbers(other, "test")


def test_a_plain_file_goes_before_a_compressed_one_and_a_prefix_before_others(tmp_path: Path) -> None:
    mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"not read")
    assert idx(str(tmp_path), 0).inputs == (1, 3, 2)
    mnist(tmp_path, "emnist-train", "emnist-test", train_labels=labels(40) // 2, test_labels=labels(12) // 2)
    assert idx(str(tmp_path), 0, prefix="emnist-").outputs == 2
    with pytest.raises(ValueError, match="has several files of train images: emnist-.*, train-.*; say with prefix which"):
        idx(str(tmp_path), 0)


def test_labels_need_not_begin_at_zero_and_numbers_that_are_no_bytes_stay(tmp_path: Path) -> None:
    shifted = {"train_labels": (labels(40) + 250).astype(np.int16), "test_labels": (labels(12) + 250).astype(np.int32)}
    given = {name: images(count).astype(np.float32) * 2 for name, count in (("train_images", 40), ("test_images", 12))}
    dataset = idx(str(mnist(tmp_path, **shifted, **given)), 0)
    assert dataset.classes == ("250", "251", "252", "253")
    assert set(dataset.train[1].tolist()) == {0, 1, 2, 3}
    assert float(dataset.train[0].max()) == 510


@given(st.sampled_from(sorted(KINDS)), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.booleans(), st.data())
@settings(max_examples=100, deadline=None)
def test_any_numbers_are_read_back(kind: str, shape: list[int], compressed: bool, data: st.DataObject) -> None:
    size = 8 * int(kind[1])
    element = st.floats(width=size) if kind[0] == "f" else st.integers(*_limits(kind))  # type: ignore[arg-type]
    wanted = np.array(data.draw(st.lists(element, min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))), kind)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("x.gz" if compressed else "x")
        content = packed(wanted.reshape(shape))
        path.write_bytes(gzip.compress(content) if compressed else content)
        np.testing.assert_array_equal(read(path, len(shape)), wanted.reshape(shape))


def _limits(kind: str) -> tuple[int, int]:
    return np.iinfo(kind).min, np.iinfo(kind).max


@given(st.binary(max_size=40) | st.binary(max_size=30).map(lambda tail: b"\0\0\x08\x01" + tail), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused_with_the_file_s_name(content: bytes, compressed: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("x.gz" if compressed else "x")
        path.write_bytes(content)
        try:
            found = read(path, 1)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            assert len(found) == int.from_bytes(content[4:8], "big")


def rewritten(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


TRAIN, LABELS, TESTED = "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"
HUGE = b"\0\0\x08\x03" + b"\xff" * 12


def bomb(folder: Path) -> None:
    """A file of some kilobytes that is 64 MB when unpacked, in which its head says it has 24."""
    (folder / TRAIN).unlink()
    content = b"\0\0\x08\x03" + struct.pack(">3I", 2, 3, 4) + bytes(64 << 20)
    (folder / f"{TRAIN}.gz").write_bytes(gzip.compress(content))


def untrue(folder: Path) -> None:
    (folder / TRAIN).unlink()
    (folder / f"{TRAIN}.gz").write_bytes(gzip.compress(HUGE + bytes(100)))


def cut(folder: Path) -> None:
    file = folder / TRAIN
    (folder / f"{TRAIN}.gz").write_bytes(gzip.compress(file.read_bytes())[:-20])
    file.unlink()


def nothing(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (nothing, "has no file such as train-images-idx3-ubyte; there is nothing"),
    "one is missing": (lambda folder: (folder / LABELS).unlink(), "no file such as train-labels-idx1-ubyte; there is t10k-"),
    "test is missing": (lambda folder: (folder / TESTED).unlink(), "no file such as t10k-images-idx3-ubyte"),
    "a folder": (
        lambda folder: ((folder / TRAIN).unlink(), (folder / TRAIN).mkdir()),
        "no file such as train-images-idx3-ubyte",
    ),
    "other type": (rewritten(TRAIN, lambda _: b"\x89PNG\r\n"), f"{TRAIN} is no IDX file: it begins with the bytes 89 50 4e 47"),
    "unknown numbers": (rewritten(TRAIN, lambda data: b"\0\0\x0a" + data[3:]), f"{TRAIN} is no IDX file: .* 00 00 0a 03"),
    "no bytes": (rewritten(TRAIN, lambda _: b""), f"{TRAIN} is no IDX file: it begins with the bytes of nothing"),
    "no rest of the head": (rewritten(TRAIN, lambda data: data[:10]), f"{TRAIN} has nothing in it"),
    "no samples": (
        lambda folder: mnist(folder, train_images=images(0)),
        rf"{TRAIN} has nothing in it: its shape is \[0, 3, 2\]",
    ),
    "shorter": (rewritten(TRAIN, lambda data: data[:-1]), rf"{TRAIN} is shorter than its shape \[40, 3, 2\] says"),
    "longer": (rewritten(TRAIN, lambda data: data + b"x"), rf"{TRAIN} is longer than its shape \[40, 3, 2\] says"),
    "huge": (rewritten(TRAIN, lambda _: HUGE), rf"{TRAIN} is shorter than its shape \[4294967295, "),
    "huge and compressed": (untrue, rf"{TRAIN}.gz is shorter than its shape \[4294967295, "),
    "bomb": (bomb, rf"{TRAIN}.gz is longer than its shape \[2, 3, 4\] says"),
    "cut": (cut, f"{TRAIN}.gz can't be read: .*end-of-stream"),
    "not compressed": (
        lambda folder: (folder / LABELS).rename(folder / f"{LABELS}.gz"),
        f"{LABELS}.gz can't be read: Not a gzip",
    ),
    "labels of pixels": (rewritten(LABELS, lambda _: packed(images(40))), f"{LABELS} has numbers in 3 dimensions, not in 1"),
    "labels too few": (lambda folder: mnist(folder, train_labels=labels(39)), f"has 40 pictures, and {LABELS} 39 labels"),
    "labels with fractions": (rewritten(LABELS, lambda _: packed(np.zeros(40, np.float32))), f"{LABELS} are not whole numbers"),
    "a label of the test": (
        lambda folder: mnist(folder, test_labels=labels(12) + np.uint8(1)),
        "label 4 is in the test, but not among those for training: 0, 1, 2, 3",
    ),
    "one class": (
        lambda folder: mnist(folder, train_labels=np.zeros(40, np.uint8), test_labels=np.zeros(12, np.uint8)),
        "has one class only: 0",
    ),
    "too few of a class": (
        lambda folder: mnist(folder, train_labels=np.minimum(np.arange(40), 3).astype(np.uint8)),
        r"too few samples to be in train and valid=0.15 alike: 0 \(1\), 1 \(1\), 2 \(1\)",
    ),
    "other sizes": (
        lambda folder: mnist(folder, test_images=np.zeros((12, 4, 2), np.uint8)),
        r"differ in \[height, width\]: \[3, 2\] for training, \[4, 2\] for the test",
    ),
    "other type of the test": (
        lambda folder: mnist(folder, test_images=images(12).astype(np.int16)),
        "are numbers of uint8 for training and of int16 for the test",
    ),
    "not finite": (
        lambda folder: mnist(folder, train_images=np.full((40, 3, 2), 1e39)),
        f"{TRAIN} has a number that is not a finite one of 32 bits",
    ),
}


@pytest.mark.parametrize(("harm", "message"), REFUSED.values(), ids=REFUSED)
def test_files_that_can_t_be_used_are_refused_by_name(tmp_path: Path, harm: Callable[[Path], Any], message: str) -> None:
    harm(mnist(tmp_path))
    with pytest.raises(ValueError, match=message):
        idx(str(tmp_path), 0)


def test_paths_that_are_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder .*missing"):
        idx(str(tmp_path / "missing"), 0)
    with pytest.raises(ValueError, match=f"{TRAIN} is a file, not a folder"):
        idx(str(mnist(tmp_path) / TRAIN), 0)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist(tmp_path)

    def refuse(path: Path, *_: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ValueError, match=f"{TRAIN} can't be read: .*Permission denied"):
        idx(str(tmp_path), 0)
