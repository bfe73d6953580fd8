"""Recordings of your own."""

from __future__ import annotations

import math
import struct
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import resample_poly

from weft import Range
from weft_basics.datasets.dataset import Dataset, classification
from weft_basics.datasets.folder import Pattern, Split, samples
from weft_basics.datasets.spectrogram import FRAMES, Bands, Floor, Hop, Window, log_mel
from weft_basics.datasets.split import Test, Valid

SUFFIXES = (".wav", ".wave")
_RATES = Range(10, 1_000_000, log=True)
_REFUSED = (ValueError, OSError, wavfile.WavFileWarning)
"""What SciPy raises for files that it finds wrong."""
_STUMBLED = (
    struct.error,  # an end within the header
    TypeError,  # samples of no bits
    ZeroDivisionError,  # no channels
    UnboundLocalError,  # a header and nothing else
    MemoryError,  # a length that is made up
    OverflowError,  # one beyond 64 bits
)
"""What it raises where it doesn't look."""
Sound = NDArray[np.float32]


def sound_folder(
    path: Annotated[str, "of a folder that has one folder for each class, or files whose names a pattern describes"],
    split_seed: int,
    pattern: Pattern = None,
    split: Split = "stratified",
    rate: Annotated[int | None, _RATES, "of sampling, in Hz, for all; null: the files' lowest"] = None,
    seconds: Annotated[float | None, Range(1e-3, 3600, log=True), "length that all get; null: that of the longest"] = None,
    bands: Bands = 32,
    window: Window = 0.032,
    hop: Hop = 0.016,
    floor: Floor = -80.0,
    standardize: Annotated[bool, "bring each band to mean 0 and deviation 1"] = True,
    valid: Valid = 0.15,
    test: Test = 0.15,
) -> Dataset:
    """WAV files as spectrograms of the mel scale (1, bands, frames); a folder, or a part of the name, is the class.

    Channels are averaged, files of another rate resampled, all are cut at the end, or filled up with silence. The spectrogram
    is log_mel's. Folders called train, valid and test are splits; of those, a missing one is taken from train. Statistics are
    those of the training samples.

    Raises:
        ValueError: a folder or file that isn't there or can't be read, a name that the pattern doesn't fit, or classes or
            groups with too few samples.
    """
    found = samples(path, SUFFIXES, pattern, split)
    recordings = [_recording(file, seconds) for file in found.files]
    rate = rate or min(own for own, _ in recordings)
    sounds = [_resampled(sound, own, rate) for own, sound in recordings]
    length = max(1, round(seconds * rate)) if seconds else max(map(len, sounds))
    return classification(
        log_mel((_fitted(sound, length) for sound in sounds), rate, bands, window, hop, floor),
        found.labels,
        found.classes,
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=path,
        standardize=standardize,
        alike=FRAMES,
        groups=found.groups,
        places=found.places,
    )


def _recording(file: Path, seconds: float | None) -> tuple[int, Sound]:
    """Return the rate of a file, and its samples from -1 to 1, no more than are needed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", wavfile.WavFileWarning)
            warnings.filterwarnings("ignore", r"Chunk \(non-data\)", wavfile.WavFileWarning)  # a note, such as a title
            rate, numbers = wavfile.read(file)
    except _REFUSED as error:
        raise ValueError(f"{file} can't be read as WAV: {error}") from error
    except _STUMBLED as error:
        raise ValueError(f"{file} can't be read as WAV: what it says of itself makes no sense") from error
    if not _RATES.low <= rate <= _RATES.high:
        raise ValueError(f"{file} has {rate} samples a second: it must be {_RATES.low} to {_RATES.high}")
    if not len(numbers):
        raise ValueError(f"{file} has no sound in it")
    if seconds:
        numbers = numbers[: math.ceil(seconds * rate)]
    with np.errstate(over="ignore"):
        sound = _full_scale(numbers)
        sound = sound if sound.ndim == 1 else sound.mean(axis=1)
    if not np.isfinite(sound).all():
        raise ValueError(f"{file} has a sample that is not a finite number of 32 bits")
    return rate, sound


def _full_scale(numbers: NDArray[Any]) -> Sound:
    if numbers.dtype.kind == "f":
        return numbers.astype(np.float32)
    half = 2.0 ** (8 * numbers.dtype.itemsize - 1)
    return (numbers.astype(np.float32) - (half if numbers.dtype.kind == "u" else 0)) / np.float32(half)


def _resampled(sound: Sound, own: int, rate: int) -> Sound:
    common = math.gcd(own, rate)
    return sound if own == rate else resample_poly(sound, rate // common, own // common)


def _fitted(sound: Sound, length: int) -> Sound:
    return np.pad(sound[:length], (0, max(0, length - len(sound))))
