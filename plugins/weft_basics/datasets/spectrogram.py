"""What a sound looks like: its power by time and by pitch, in the logarithm of both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from weft import Range

Bands = Annotated[int, Range(1, 512, log=True), "of pitch, from 0 Hz to half the sampling rate"]
Window = Annotated[float, Range(1e-3, 10, log=True), "length of the piece of sound that a spectrum is of, in seconds"]
Hop = Annotated[float, Range(1e-4, 10, log=True), "from one spectrum to the next, in seconds"]
Floor = Annotated[float, Range(-300, 0), "silence: less power than this counts as this, in decibels; 0 is a full-scale sine"]

FRAMES = (3,)
"""The axis of time: all numbers of a band along it are of one kind."""


def log_mel(
    sounds: Iterable[NDArray[np.floating[Any]]], rate: int, bands: int, window: float, hop: float, floor: float
) -> NDArray[np.float32]:
    """Return the log-mel spectrograms (N, 1, bands, frames) of N sounds (samples,) of equal length, full scale from -1 to 1.

    Frames of `window` seconds begin every `hop` seconds, the last one filled up with silence. A frame's power spectrum is
    |DFT(w x)|² / (Σ w / 2)², with the periodic Hann window w[i] = (1 - cos(2π i / length)) / 2 and zeros up to a power of two;
    so a full-scale sine has its peak at 1. A band's power is the sum over frequencies by a triangle that is 1 at the band's
    centre and 0 at its neighbours' (`filters`). Its natural logarithm is taken of what is at least 10^(floor / 10).

    After Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word recognition in continuously
    spoken sentences", 1980; mel scale as in the HTK Book (Young et al. 2006), section 5.4. The triangles have straight sides
    over frequencies in hertz, as librosa's and torchaudio's; HTK's are straight over mel.

    Raises:
        ValueError: a window or hop of less than a sample, or more bands than the window can tell apart.
    """
    length, step = round(window * rate), round(hop * rate)
    if length < 2 or step < 1:
        raise ValueError(f"window={window:g} and hop={hop:g} seconds are {length} and {step} samples at {rate} Hz: too few")
    size = 1 << (length - 1).bit_length()
    weights = np.ascontiguousarray(filters(bands, size, rate).T)  # NumPy multiplies twice as fast by these
    hann = (1 - np.cos(2 * np.pi * np.arange(length) / length)) / 2
    lowest = 10 ** (floor / 10)
    found = []
    for sound in sounds:
        frames = 1 + max(0, -(-(len(sound) - length) // step))
        filled = np.zeros(length + (frames - 1) * step)
        filled[: len(sound)] = sound
        pieces = np.lib.stride_tricks.sliding_window_view(filled, length)[::step]
        power = np.abs(np.fft.rfft(pieces * hann, size)) ** 2 / (hann.sum() / 2) ** 2
        found.append(np.log(np.maximum(power @ weights, lowest)).astype(np.float32).T)
    return np.stack(found)[:, None]


def filters(bands: int, size: int, rate: int) -> NDArray[np.float64]:
    """Return what each band takes of each frequency of a DFT of that size: triangles (bands, size // 2 + 1) between centres
    that are evenly spaced in mel, from 0 Hz to half the rate.

    Raises:
        ValueError: a triangle falls between two frequencies.
    """
    edges = hertz(np.linspace(0, mel(np.array(rate / 2)), bands + 2))
    frequencies = np.arange(size // 2 + 1) * rate / size
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - low) / (centre - low), (high - frequencies) / (high - centre)
    weights = np.maximum(0, np.minimum(rising, falling))
    empty = np.flatnonzero(~weights.any(1))
    if len(empty):
        first, last = edges[empty[0]], edges[empty[0] + 2]
        raise ValueError(
            f"bands={bands} are too many: the spectrum has a frequency every {rate / size:.3g} Hz, and none in the band from "
            f"{first:.3g} to {last:.3g} Hz; take fewer bands, or a longer window"
        )
    return weights


def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pitch of a frequency in mel, 2595 log10(1 + f / 700) (O'Shaughnessy 1987)."""
    return 2595 * np.log10(1 + hertz / 700)


def hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the frequency of a pitch in mel: the inverse of `mel`."""
    return 700 * (10 ** (mel / 2595) - 1)
