"""Sounds that are made up: what they are, and that they are neither easy nor hopeless."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.plugins.box import make
from weft_basics.datasets.tones import _KINDS, LENGTH, RATE, tones


def learned(model: nn.Module, dataset: Any, epochs: int) -> float:
    """Return the accuracy on the test split after so many epochs."""
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    inputs, targets = dataset.train
    for _ in range(epochs):
        for chosen in torch.randperm(len(targets)).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[chosen]), targets[chosen]).backward()
            optimizer.step()
    with torch.no_grad():
        return float((model(dataset.test[0]).argmax(1) == dataset.test[1]).float().mean())


def test_a_small_network_learns_them_and_a_linear_model_does_not() -> None:
    dataset = tones(0)
    network = make("model", "cnn", inputs=dataset.inputs, outputs=7, channels=[8, 16, 32], activation=nn.ReLU)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(dataset.inputs), 7))
    assert learned(network, dataset, 20) >= 0.95
    assert learned(linear, dataset, 20) < 0.95


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pitch", [300.0, 431.0, 900.0])
@pytest.mark.parametrize("kind", _KINDS)
def test_each_has_the_spectrum_of_its_kind(kind: str, pitch: float, seed: int) -> None:
    sound = _KINDS[kind](pitch, np.random.default_rng(seed))
    assert len(sound) == LENGTH
    power = np.abs(np.fft.rfft(sound * np.hanning(LENGTH))) ** 2
    width = RATE / LENGTH

    def near(frequency: float, by: float = 2 * width) -> float:
        frequencies = np.arange(len(power)) * width
        return float(power[np.abs(frequencies - frequency) <= by].sum() / power.sum())

    def strongest(piece: slice) -> float:
        spectrum = np.abs(np.fft.rfft(sound[piece] * np.hanning(len(sound[piece]))))
        return float(spectrum.argmax() * RATE / len(sound[piece]))

    first, last = strongest(slice(0, 800)), strongest(slice(-800, None))
    if kind == "sine":
        assert near(pitch) > 0.99
    elif kind == "square":  # odd harmonics, the third at 1/9 of the power of the first
        assert near(3 * pitch) / near(pitch) == pytest.approx(1 / 9, rel=0.15)
        assert near(2 * pitch) / near(pitch) < 0.01
    elif kind == "sawtooth":  # all harmonics, the second at 1/4
        assert near(2 * pitch) / near(pitch) == pytest.approx(1 / 4, rel=0.15)
    elif kind == "rising":
        assert pitch * 0.9 < first < last * 0.65
    elif kind == "falling":
        assert pitch * 0.9 < last < first * 0.65
    elif kind == "string":  # a loop of n samples and half a one, with its harmonics, and the high ones die
        loop = RATE / (round(RATE / pitch) + 0.5)
        harmonics = sum(near(multiple * loop, 30) for multiple in range(1, int(RATE / 2 / loop) + 1))
        assert harmonics > 0.8
        assert (sound[-800:] ** 2).mean() < 0.3 * (sound[:800] ** 2).mean()
    else:
        thirds = [part.sum() / power.sum() for part in np.array_split(power, 4)]
        assert thirds == pytest.approx([0.25] * 4, abs=0.06)


def test_noise_is_added_and_the_seed_is_the_sounds_alone() -> None:
    assert tones(0, samples=70).source == "weft_basics.datasets.tones(70, noise=0.05, seed=0)"
    same, other = tones(0, samples=70), tones(0, samples=70, seed=1)
    assert torch.equal(tones(0, samples=70).train[0], same.train[0])
    assert not torch.equal(other.train[0], same.train[0])
    assert torch.equal(other.train[1], same.train[1])
    assert not torch.equal(tones(0, samples=70, noise=1.0).train[0], same.train[0])
    assert tones(0, samples=70, noise=0.0).train[0].isfinite().all()
