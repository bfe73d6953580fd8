"""Sounds of seven kinds, made up on the spot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from weft import Range
from weft_basics.datasets.dataset import Dataset, Numbers, classification
from weft_basics.datasets.spectrogram import FRAMES, log_mel
from weft_basics.datasets.split import Test, Valid

RATE = 8000
LENGTH = 4000
LOWEST, HIGHEST = 300.0, 900.0
"""Pitch, in Hz; a glide goes up to two octaves beyond."""
FAINTEST, LOUDEST = 0.1, 1.0
"""Amplitude, of full scale."""


def tones(
    split_seed: int,
    samples: Annotated[int, Range(70, 1_000_000, log=True)] = 1000,
    noise: Annotated[float, Range(0, 10), "deviation of the noise behind; the sounds' amplitudes go from 0.1 to 1"] = 0.05,
    seed: Annotated[int, Range(0, 2**32 - 1), "of the sounds; the split has its own"] = 0,
    valid: Valid = 0.15,
    test: Test = 0.15,
) -> Dataset:
    """Half a second of sound as a spectrogram (1, 32, 31): sine, square, sawtooth, rising, falling, plucked string, hiss.

    At 8 kHz; pitch, loudness, phase, beginning and fading are drawn anew for each. The spectrogram is log_mel's, its bands
    at mean 0 and deviation 1 by the training samples. The string is that of Karplus and Strong, "Digital synthesis of
    plucked-string and drum timbres", 1983.

    Raises:
        ValueError: shares that leave nothing for training.
    """
    labels = np.arange(samples) % len(_KINDS)
    return classification(
        log_mel(_sounds(labels, noise, seed), RATE, bands=32, window=0.032, hop=0.016, floor=-80.0),
        labels,
        list(_KINDS),
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=f"weft_basics.datasets.tones({samples}, noise={noise:g}, seed={seed})",
        standardize=True,
        alike=FRAMES,
    )


def _sounds(labels: NDArray[np.int64], noise: float, seed: int) -> Iterator[Numbers]:
    draw = np.random.default_rng(seed)
    makers = list(_KINDS.values())
    for label in labels:
        sound = makers[label](_between(draw, LOWEST, HIGHEST), draw)
        begin = int(draw.integers(LENGTH // 4))
        fading = np.exp(-np.arange(LENGTH - begin) / RATE * draw.uniform(0, 6))
        heard = noise * draw.standard_normal(LENGTH)
        heard[begin:] += _between(draw, FAINTEST, LOUDEST) * fading * sound[: LENGTH - begin]
        yield heard


def _between(draw: np.random.Generator, low: float, high: float) -> float:
    """Return a number that is drawn evenly on the logarithmic scale."""
    return float(np.exp(draw.uniform(np.log(low), np.log(high))))


def _turns(pitch: float, draw: np.random.Generator, octaves: float = 0.0) -> Numbers:
    """Return how often a tone has gone round by each sample, while its pitch rises by so many octaves from first to last."""
    pitches = pitch * 2 ** np.linspace(0, octaves, LENGTH)
    return draw.uniform() + np.cumsum(pitches) / RATE


def _sine(pitch: float, draw: np.random.Generator) -> Numbers:
    return np.sin(2 * np.pi * _turns(pitch, draw))


def _square(pitch: float, draw: np.random.Generator) -> Numbers:
    return np.where(_turns(pitch, draw) % 1 < 0.5, 1.0, -1.0)


def _sawtooth(pitch: float, draw: np.random.Generator) -> Numbers:
    return 2 * (_turns(pitch, draw) % 1) - 1


def _rising(pitch: float, draw: np.random.Generator) -> Numbers:
    return np.sin(2 * np.pi * _turns(pitch, draw, draw.uniform(1, 2)))


def _falling(pitch: float, draw: np.random.Generator) -> Numbers:
    octaves = draw.uniform(1, 2)
    return np.sin(2 * np.pi * _turns(pitch * 2**octaves, draw, -octaves))


def _string(pitch: float, draw: np.random.Generator) -> Numbers:
    """Noise that goes round a loop one period long, and loses its height by the mean of two neighbours each time."""
    period = round(RATE / pitch)
    plucked = np.zeros(LENGTH)
    burst = draw.uniform(-1, 1, period)
    plucked[:period] = burst - burst.mean()  # what doesn't swing would never fade
    loop = np.zeros(period + 2)
    loop[0], loop[-2:] = 1, -0.5
    sound: Numbers = lfilter([1.0], loop, plucked)
    return sound


def _hiss(pitch: float, draw: np.random.Generator) -> Numbers:
    """Noise of no pitch at all."""
    return draw.standard_normal(LENGTH)


_KINDS: dict[str, Callable[[float, np.random.Generator], Numbers]] = {
    "sine": _sine,
    "square": _square,
    "sawtooth": _sawtooth,
    "rising": _rising,
    "falling": _falling,
    "string": _string,
    "hiss": _hiss,
}
