"""Recordings from folders: heard as they were written, of whatever rate and type, or refused by the file's name."""

from __future__ import annotations

import math
import os
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
from scipy.io import wavfile
from torch import nn

from tests.plugins.box import make
from weft_basics.datasets import sound_folder as module
from weft_basics.datasets.folder import samples
from weft_basics.datasets.sound_folder import _recording, sound_folder
from weft_basics.datasets.spectrogram import log_mel

SPLITS = ("train", "valid", "test")
DIGITS = Path(__file__).parents[4] / "shared" / "data" / "spoken-digits"
NAMES = "{label}_{group}_{index}.wav"
RATE = 8000


def sine(frequency: float, seconds: float = 0.1, rate: int = RATE, amplitude: float = 0.5) -> NDArray[np.float64]:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def saved(path: Path, sound: NDArray[Any], rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, sound)
    return path


def voices(folder: Path, each: int = 8) -> Path:
    """Fill a folder with sounds of two classes, whose pitch tells the class and the number."""
    for label, kind in enumerate(("high", "low")):
        for number in range(each):
            saved(folder / kind / f"{number:03}.wav", sine(2000 - 1500 * label + 10 * number))
    return folder


def whole(dataset: Any) -> torch.Tensor:
    return torch.cat([getattr(dataset, split)[0] for split in SPLITS])


def same(found: torch.Tensor, expected: NDArray[np.float32], atol: float = 2e-3) -> None:
    """Compare two sets of spectrograms: each has its like, in whatever order."""
    differences = np.abs(found.numpy()[:, None] - expected).max((2, 3, 4))
    assert len(found) == len(expected)
    assert differences.min(0).max() < atol
    assert differences.min(1).max() < atol


def test_a_folder_is_a_class_and_a_file_a_sample(tmp_path: Path) -> None:
    dataset = sound_folder(str(voices(tmp_path)), 0, standardize=False)
    assert (dataset.task, dataset.inputs, dataset.outputs) == ("classification", (1, 32, 6), 2)
    assert (dataset.classes, dataset.source) == (("high", "low"), str(tmp_path))
    for split in SPLITS:
        inputs, targets = getattr(dataset, split)
        assert inputs.dtype == torch.float32
        bands = inputs.mean((1, 3)).argmax(1)
        assert ((bands < 16) == (targets == 1)).all()
    sounds = [sine(2000 - 1500 * label + 10 * number) for label in range(2) for number in range(8)]
    same(whole(dataset), log_mel(sounds, RATE, 32, 0.032, 0.016, -80.0))


def test_the_same_seed_gives_the_same_splits_and_another_others(tmp_path: Path) -> None:
    first, again, other = (sound_folder(str(voices(tmp_path)), seed) for seed in (3, 3, 4))
    assert all(torch.equal(getattr(first, split)[0], getattr(again, split)[0]) for split in SPLITS)
    assert not torch.equal(first.train[0], other.train[0])


def test_bands_are_standardized_by_the_training_samples(tmp_path: Path) -> None:
    plain, scaled = (sound_folder(str(voices(tmp_path)), 0, standardize=asked) for asked in (False, True))
    train = plain.train[0].double()
    mean, deviation = train.mean((0, 1, 3), keepdim=True), train.std((0, 1, 3), correction=0, keepdim=True)
    deviation[train.amax((0, 1, 3), keepdim=True) == train.amin((0, 1, 3), keepdim=True)] = 1  # silent bands become zero
    for split in SPLITS:
        expected = (getattr(plain, split)[0].double() - mean) / deviation
        torch.testing.assert_close(getattr(scaled, split)[0].double(), expected, rtol=1e-4, atol=1e-4)


def test_the_options_are_those_of_the_spectrogram(tmp_path: Path) -> None:
    given: dict[str, Any] = {"bands": 7, "window": 0.02, "hop": 0.005, "floor": -40.0}
    dataset = sound_folder(str(voices(tmp_path)), 0, standardize=False, **given)
    assert dataset.inputs == (1, 7, 17)
    assert float(whole(dataset).min()) == pytest.approx(math.log(1e-4))


@pytest.mark.parametrize("seconds", [None, 0.05, 0.1, 0.4])
def test_sounds_are_cut_or_filled_up_with_silence(tmp_path: Path, seconds: float | None) -> None:
    lengths = np.linspace(0.03, 0.2, 10)
    for number, length in enumerate(lengths):
        saved(tmp_path / "ab"[number % 2] / f"{number}.wav", sine(1000, length).astype(np.float32))
    dataset = sound_folder(str(tmp_path), 0, seconds=seconds, standardize=False)
    size = round((seconds or 0.2) * RATE)
    expected = [np.pad(sine(1000, length), (0, size))[:size] for length in lengths]
    same(whole(dataset), log_mel(expected, RATE, 32, 0.032, 0.016, -80.0))


@pytest.mark.parametrize(
    ("kind", "exact"), [("uint8", 1 / 256), ("int16", 1 / 65536), ("int32", 1e-7), ("float32", 1e-7), ("float64", 1e-7)]
)
def test_all_types_of_samples_are_heard_alike(tmp_path: Path, kind: str, exact: float) -> None:
    sound = sine(440)
    whole_numbers = {"uint8": (sound + 1) * 128, "int16": sound * 2**15, "int32": sound * 2**31}
    path = saved(tmp_path / "x.wav", whole_numbers.get(kind, sound).astype(kind))
    rate, found = _recording(path, None)
    assert (rate, found.dtype, found.ndim) == (RATE, np.float32, 1)
    np.testing.assert_allclose(found, sound, atol=2 * exact)


def written(path: Path, data: bytes, depth: int, channels: int = 1, kind: int = 1, more: bytes = b"") -> Path:
    """Write a WAV file by its description: RIFF, WAVE, fmt, other chunks, data."""
    block = channels * -(-depth // 8)
    form = struct.pack("<HHIIHH", kind, channels, RATE, RATE * block, block, depth)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + form + more + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
    return path


def test_24_bits_and_notes_within_a_file_are_read(tmp_path: Path) -> None:
    values = [0, 1 << 22, -(1 << 22), (1 << 23) - 1, -(1 << 23), 1 << 21]
    data = b"".join(value.to_bytes(3, "little", signed=True) for value in values)
    title = b"LIST" + struct.pack("<I", 4) + b"INFO" + b"cue " + struct.pack("<I", 4) + bytes(4)
    _, found = _recording(written(tmp_path / "x.wav", data, 24, more=title), None)
    np.testing.assert_allclose(found, [0, 0.5, -0.5, 1, -1, 0.25], atol=1e-6)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = sine(300), sine(900)
    path = saved(tmp_path / "x.wav", np.stack([left, right], 1).astype(np.float32))
    np.testing.assert_allclose(_recording(path, None)[1], (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize(("own", "rate"), [(16000, 8000), (8000, 16000), (44100, 16000), (11025, 8000)])
def test_another_rate_is_brought_to_the_one_asked_for(tmp_path: Path, own: int, rate: int) -> None:
    for number in range(8):
        saved(tmp_path / "ab"[number % 2] / f"{number}.wav", sine(600 + 200 * number, 0.2, own).astype(np.float32), own)
    dataset = sound_folder(str(tmp_path), 0, rate=rate, standardize=False)
    direct = log_mel([sine(600 + 200 * number, 0.2, rate) for number in range(8)], rate, 32, 0.032, 0.016, -80.0)
    assert dataset.inputs == direct.shape[1:]
    found = whole(dataset).exp()[..., 1:-1].numpy()  # not where the sound begins and ends
    wanted = np.exp(direct)[..., 1:-1]
    same(torch.from_numpy(found[:, :, 3:]), wanted[:, :, 3:], atol=0.01)


def test_a_tone_above_what_the_rate_can_carry_is_gone_and_not_folded(tmp_path: Path) -> None:
    for number in range(8):
        saved(tmp_path / "ab"[number % 2] / f"{number}.wav", sine(6000, 0.2, 16000).astype(np.float32), 16000)
    found = whole(sound_folder(str(tmp_path), 0, rate=8000, standardize=False))
    assert float(found[..., 1:-1].max()) < math.log(0.25 * 1e-4)


def test_where_no_rate_is_asked_for_the_lowest_is_taken(tmp_path: Path) -> None:
    for number in range(8):
        rate = 16000 if number else 8000
        saved(tmp_path / "ab"[number % 2] / f"{number}.wav", sine(1000, 0.2, rate), rate)
    dataset = sound_folder(str(tmp_path), 0, standardize=False)
    assert dataset.inputs == (1, 32, 12)
    bands = whole(dataset)[..., 2:-2].mean((1, 3)).argmax(1)
    assert len(bands.unique()) == 1


def test_names_can_tell_class_and_group_and_types_are_told_by_any_letters(tmp_path: Path) -> None:
    for number in range(24):
        suffix = ("wav", "WAV", "Wav")[number % 3]
        saved(tmp_path / f"{('yes', 'no')[number % 2]}_{number // 4}_{number}.{suffix}", sine(300 + 100 * (number // 4)))
    (tmp_path / "README.md").write_text("what these are")
    dataset = sound_folder(str(tmp_path), 0, NAMES, "group", standardize=False)
    assert dataset.classes == ("no", "yes")
    owned = [set(getattr(dataset, split)[0].mean((1, 3)).argmax(1).tolist()) for split in SPLITS]
    assert sum(map(len, owned)) == len(set().union(*owned)) == 6
    assert [len(getattr(dataset, split)[1]) for split in SPLITS] == [16, 4, 4]
    stratified = sound_folder(str(tmp_path), 0, NAMES)
    assert [torch.bincount(getattr(stratified, split)[1]).tolist() for split in SPLITS] == [[8, 8], [2, 2], [2, 2]]


def test_folders_can_be_the_splits(tmp_path: Path) -> None:
    for split, each in zip(SPLITS, (4, 2, 3), strict=True):
        voices(tmp_path / split, each)
    dataset = sound_folder(str(tmp_path), 0)
    assert [len(getattr(dataset, split)[1]) for split in SPLITS] == [8, 4, 6]


part = st.text(
    st.characters(codec="utf-8", exclude_characters="/_.\\\0", exclude_categories=("Cs", "Cc")), min_size=1, max_size=8
)


@given(st.lists(st.tuples(part, part), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_any_part_of_a_name_is_read_back(parts: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for label, group in [*parts, ("another", "group")]:
            for index in range(2):
                (Path(folder) / f"x{label}_{group}_{index}.wav").touch()
        expected = sorted({(label, group) for label, group in [*parts, ("another", "group")]})
        if len({label for label, _ in expected}) == 1 or len(list(Path(folder).iterdir())) != 2 * len(expected):
            return  # one class; or a file system for which two names are one
        found = samples(folder, (".wav",), "x{label}_{group}_{index}.wav", "group")
    assert found.groups is not None
    pairs = {(found.classes[label], group) for label, group in zip(found.labels, found.groups, strict=True)}
    assert sorted(pairs) == expected


def broken(data: Callable[[bytes], bytes]) -> Callable[[Path], Any]:
    return lambda folder: (folder / "low/x.wav").write_bytes(data((folder / "low/000.wav").read_bytes()))


def single(folder: Path) -> None:
    for file in (folder / "low").iterdir():
        file.unlink()
    (folder / "low").rmdir()


def few(folder: Path) -> None:
    for file in sorted((folder / "low").iterdir())[2:]:
        file.unlink()


REFUSED: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "cut": (broken(lambda data: data[:500]), {}, "low/x.wav can't be read as WAV: Reached EOF prematurely"),
    "cut in the head": (broken(lambda data: data[:30]), {}, "low/x.wav can't be read as WAV: what it says of itself makes no"),
    "nothing": (broken(lambda _: b""), {}, "low/x.wav can't be read as WAV: File format b'' not understood"),
    "other type": (broken(lambda _: b"OggS" + bytes(100)), {}, "low/x.wav can't be read as WAV: File format b'OggS'"),
    "a-law": (broken(lambda data: data[:20] + b"\6" + data[21:]), {}, "low/x.wav can't be read as WAV: Unknown .* ALAW"),
    "no channels": (
        broken(lambda data: data[:22] + b"\0" + data[23:]),
        {},
        "low/x.wav .* what it says of itself makes no sense",
    ),
    "no sound": (lambda folder: saved(folder / "low/x.wav", np.zeros(0, np.int16)), {}, "low/x.wav has no sound in it"),
    "no rate": (
        lambda folder: saved(folder / "low/x.wav", sine(300), 1),
        {},
        "low/x.wav has 1 samples a second: it must be 10 to 1000000",
    ),
    "not finite": (
        lambda folder: saved(folder / "low/x.wav", np.full(99, np.nan, np.float32)),
        {},
        "x.wav has a sample that is",
    ),
    "too large": (lambda folder: saved(folder / "low/x.wav", np.full(99, 1e39)[:, None]), {}, "x.wav has a sample that is not"),
    "mp3": (lambda folder: (folder / "low/x.mp3").touch(), {}, "low/x.mp3 is none of .wav, .wave: move it out"),
    "no class": (lambda folder: saved(folder / "x.wav", sine(300)), {}, "x.wav is in no class's folder: .*, or a pattern"),
    "one class": (single, {}, "has one class only: high"),
    "too few of a class": (few, {}, r"too few samples .*: low \(2\)"),
    "pipe": (lambda folder: os.mkfifo(folder / "low/x.wav"), {}, "low/x.wav is neither a file nor a folder"),
    "pattern that doesn't fit": (lambda _: None, {"pattern": NAMES}, r"high/000.wav in .* doesn't fit the pattern \{label\}_"),
    "pattern of one class": (lambda _: None, {"pattern": "{kind}/{label}00.wav"}, "high/001.wav in .* doesn't fit the pattern"),
    "no label": (lambda _: None, {"pattern": "{lable}/{index}.wav"}, r"has no \{label\} \(did you mean 'lable'\?\)"),
    "no group": (lambda _: None, {"pattern": "{label}/{index}.wav", "split": "group"}, r"\.wav has no \{group\}"),
    "a field twice": (
        lambda _: None,
        {"pattern": "{label}/{label}.wav"},
        "can't be understood: it takes names in braces, each",
    ),
    "no name": (lambda _: None, {"pattern": "{}/{label}.wav"}, "can't be understood: it takes names in braces"),
    "a form": (lambda _: None, {"pattern": "{label:3}.wav"}, "can't be understood: it takes names in braces"),
    "an open brace": (lambda _: None, {"pattern": "{label/x.wav"}, "pattern {label/x.wav can't be understood: expected '}'"),
    "nothing between": (lambda _: None, {"pattern": "{label}{index}.wav"}, "doesn't say where one field ends"),
    "bands": (lambda _: None, {"bands": 200}, "bands=200 are too many"),
    "shares": (lambda _: None, {"valid": 0.5, "test": 0.5}, "leave nothing for training"),
}


@pytest.mark.parametrize(("harm", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_folders_that_can_t_be_used_are_refused_with_the_place(
    tmp_path: Path, harm: Callable[[Path], Any], options: dict[str, Any], message: str
) -> None:
    harm(voices(tmp_path))
    with pytest.raises(ValueError, match=message):
        sound_folder(str(tmp_path), 0, **options)


def test_groups_that_don_t_suffice_are_refused(tmp_path: Path) -> None:
    for number in range(8):
        saved(tmp_path / f"{'ab'[number % 2]}_{'xy'[number // 4]}_{number}.wav", sine(300))
    with pytest.raises(ValueError, match="three groups or more, and there are 2: x, y"):
        sound_folder(str(tmp_path), 0, NAMES, "group")
    for number in range(4):
        saved(tmp_path / f"c_z_{number}.wav", sine(300))
    messages = set()
    for seed in range(6):
        with pytest.raises(ValueError, match="no group that is left for training has") as caught:
            sound_folder(str(tmp_path), seed, NAMES, "group")
        messages.add(str(caught.value).split(":")[0])
    assert messages == {f"no group that is left for training has {lost}" for lost in ("c", "a, b")}


def test_a_folder_without_sounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no folders in it: one for each class is needed, or a pattern"):
        sound_folder(str(tmp_path), 0)
    with pytest.raises(ValueError, match=r"has no file that ends in .wav, .wave"):
        sound_folder(str(tmp_path), 0, NAMES)
    with pytest.raises(ValueError, match="there is no folder .*missing"):
        sound_folder(str(tmp_path / "missing"), 0)
    file = saved(tmp_path / "x.wav", sine(300))
    with pytest.raises(ValueError, match="x.wav is a file, not a folder"):
        sound_folder(str(file), 0)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(module.wavfile, "read", refuse)
    with pytest.raises(ValueError, match=r"high/000.wav can't be read as WAV: .*Permission denied"):
        sound_folder(str(voices(tmp_path)), 0)


FORM = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
WHOLE = b"RIFF" + struct.pack("<I", 76) + b"WAVE" + FORM + b"data" + struct.pack("<I", 40) + bytes(range(40))


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(WHOLE)))
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_read_or_refused_by_name(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.wav"
        path.write_bytes(data[: len(data) - cut // 2])
        try:
            _, sound = _recording(path, None)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            assert np.isfinite(sound).all()


@pytest.mark.skipif(not DIGITS.is_dir(), reason="../shared/data/spoken-digits is not here")
def test_spoken_digits_are_told_apart_by_a_small_network() -> None:
    dataset = sound_folder(str(DIGITS), 0, NAMES, seconds=0.8)
    assert (dataset.inputs, dataset.outputs) == (((1, 32, 49)), 10)
    network = make("model", "cnn", inputs=dataset.inputs, outputs=10, channels=[8, 16], activation=nn.ReLU)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    inputs, targets = dataset.train
    for _ in range(8):
        for chosen in torch.randperm(len(targets)).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs[chosen]), targets[chosen]).backward()
            optimizer.step()
    with torch.no_grad():
        assert (network(dataset.test[0]).argmax(1) == dataset.test[1]).float().mean() >= 0.9


@pytest.mark.skipif(not DIGITS.is_dir(), reason="../shared/data/spoken-digits is not here")
def test_a_speaker_of_the_digits_is_in_one_split() -> None:
    dataset = sound_folder(str(DIGITS), 0, NAMES, "group", bands=16, hop=0.032)
    assert [len(getattr(dataset, split)[1]) for split in SPLITS] == [500, 500, 500]
    assert all(torch.bincount(getattr(dataset, split)[1]).tolist() == [50] * 10 for split in SPLITS)
