"""Spectrograms against sums written out one by one, and against what a tone of known pitch and power must give."""

from __future__ import annotations

import cmath
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft_basics.datasets.spectrogram import filters, hertz, log_mel, mel

RATE = 8000
OPTIONS: dict[str, Any] = {"bands": 20, "window": 0.032, "hop": 0.016, "floor": -80.0}


def sine(frequency: float, seconds: float = 0.2, rate: int = RATE, amplitude: float = 1.0) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def by_hand(sound: list[float], rate: int, bands: int, length: int, step: int, size: int, floor: float) -> list[list[float]]:
    """Return log-mel energies (bands, frames) by the definitions, without NumPy."""
    window = [0.5 - 0.5 * math.cos(2 * math.pi * i / length) for i in range(length)]
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = [700 * (10 ** (top * k / (bands + 1) / 2595) - 1) for k in range(bands + 2)]
    columns = []
    start = 0
    while True:
        piece = [sound[start + i] * window[i] if start + i < len(sound) else 0.0 for i in range(length)]
        power = []
        for k in range(size // 2 + 1):
            total = sum(value * cmath.exp(-2j * math.pi * k * i / size) for i, value in enumerate(piece))
            power.append(abs(total) ** 2 / (sum(window) / 2) ** 2)
        column = []
        for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
            energy = 0.0
            for k, value in enumerate(power):
                frequency = k * rate / size
                if low < frequency <= centre:
                    energy += value * (frequency - low) / (centre - low)
                elif centre < frequency < high:
                    energy += value * (high - frequency) / (high - centre)
            column.append(math.log(max(energy, 10 ** (floor / 10))))
        columns.append(column)
        if start + length >= len(sound):
            return [list(band) for band in zip(*columns, strict=True)]
        start += step


@pytest.mark.parametrize(
    ("samples", "length", "step", "size"),
    [
        (100, 32, 16, 32),
        (100, 30, 13, 32),
        (16, 32, 16, 32),
        (64, 32, 32, 32),
        (70, 20, 25, 32),
        (1, 24, 8, 32),
        (65, 32, 16, 32),
    ],
)
def test_it_is_what_the_definitions_say(samples: int, length: int, step: int, size: int) -> None:
    sounds = np.random.default_rng(samples).normal(0, 0.1, (2, samples))
    rate = 1000
    found = log_mel(sounds, rate, 5, length / rate, step / rate, -60.0)
    assert found.dtype == np.float32
    for sound, image in zip(sounds, found[:, 0], strict=True):
        expected = np.array(by_hand(sound.tolist(), rate, 5, length, step, size, -60.0))
        assert image.shape == expected.shape
        np.testing.assert_allclose(image, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("frequency", "value"), [(0, 0), (1000, 999.99), (4000, 2146.06), (440, 549.64)])
def test_the_mel_scale_is_that_of_the_htk_book(frequency: float, value: float) -> None:
    assert float(mel(np.array(frequency))) == pytest.approx(value, abs=0.01)
    assert float(hertz(mel(np.array(frequency)))) == pytest.approx(frequency)


@given(st.floats(130, 3300), st.floats(0.01, 1))
@settings(max_examples=50, deadline=None)
def test_a_tone_is_strongest_in_the_band_that_holds_it_and_as_strong_as_it_is(frequency: float, amplitude: float) -> None:
    image = log_mel([sine(frequency, amplitude=amplitude)], RATE, **OPTIONS)[0, 0, :, 3]
    edges = 700 * (10 ** (np.linspace(0, 2146.06, 22) / 2595) - 1)
    assert edges[image.argmax()] < frequency < edges[image.argmax() + 2]
    # A Hann window spreads a sine over three frequencies or so: 3/2 of its power, of which the triangles let half through.
    total = np.exp(image.astype(np.float64)).sum()
    assert amplitude**2 * 1.3 < total < amplitude**2 * 1.7
    assert image.min() >= math.log(1e-8) - 1e-5


def test_twice_as_loud_is_six_decibels_more() -> None:
    quiet, loud = log_mel([sine(700, amplitude=0.2), sine(700, amplitude=0.4)], RATE, **{**OPTIONS, "floor": -300.0})[:, 0]
    np.testing.assert_allclose(loud - quiet, math.log(4), atol=1e-3)


def test_silence_is_the_floor() -> None:
    found = log_mel(np.zeros((1, 900)), RATE, **{**OPTIONS, "floor": -50.0})
    np.testing.assert_allclose(found, math.log(1e-5), rtol=1e-6)


def test_the_triangles_share_every_frequency_between_the_outer_centres() -> None:
    weights = filters(20, 256, RATE)
    assert weights.shape == (20, 129)
    centres = 700 * (10 ** (np.linspace(0, 2146.06, 22)[1:-1] / 2595) - 1)
    frequencies = np.arange(129) * RATE / 256
    inner = (frequencies >= centres[0]) & (frequencies <= centres[-1])
    np.testing.assert_allclose(weights.sum(0)[inner], 1)
    np.testing.assert_allclose(
        [np.interp(centre, frequencies, row) for centre, row in zip(centres, weights, strict=True)], 1, atol=0.3
    )
    assert (weights.argmax(1)[1:] >= weights.argmax(1)[:-1]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": 128}, r"bands=128 are too many: the spectrum has a frequency every 31.2 Hz, and none in the band from 0 to"),
        ({"window": 0.0001}, r"window=0.0001 and hop=0.016 seconds are 1 and 128 samples at 8000 Hz: too few"),
        ({"hop": 0.00001}, r"window=0.032 and hop=1e-05 seconds are 256 and 0 samples at 8000 Hz: too few"),
    ],
)
def test_options_that_no_spectrum_has_room_for_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        log_mel([sine(700)], RATE, **{**OPTIONS, **options})


@pytest.mark.parametrize(("rate", "bands"), [(8000, 32), (8000, 40), (8000, 64), (16000, 80), (22050, 80), (44100, 96)])
def test_usual_numbers_of_bands_have_room_in_the_default_window(rate: int, bands: int) -> None:
    assert log_mel([np.zeros(rate)], rate, bands, 0.032, 0.016, -80.0).shape[:3] == (1, 1, bands)
