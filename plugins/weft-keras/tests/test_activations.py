"""Keras's activations are Keras's numbers."""

from __future__ import annotations

import pytest
import torch

from weft_keras import keras
from weft_keras.activations import NAMES, functions
from weft_keras.backend import settings_of_a_model

_NEEDED = {"threshold": {"threshold": 0.0, "default_value": 0.0}}


@pytest.mark.parametrize("name", NAMES)
def test_by_its_defaults_it_is_keras_s(name: str) -> None:
    inputs = torch.linspace(-4, 4, 40).reshape(5, 8)
    with settings_of_a_model():
        expected = getattr(keras.activations, name)(inputs, **_NEEDED.get(name, {}))
    assert torch.equal(getattr(functions, name)(inputs), expected)
    precise = getattr(functions, name)(inputs.double())
    assert precise.dtype == torch.float64
    assert torch.allclose(precise.float(), expected, rtol=1e-5, atol=1e-6)


def test_all_that_keras_has_are_here_but_for_glu() -> None:
    theirs = {name for name in dir(keras.activations) if not name.startswith("_")}
    assert theirs - set(NAMES) == {"deserialize", "get", "glu", "hard_swish", "serialize", "swish"}
    assert set(NAMES) <= theirs


def test_options_are_keras_s() -> None:
    inputs = torch.tensor([-2.0, 0.5, 9.0])
    assert functions.relu(inputs, negative_slope=0.5, max_value=6.0).tolist() == [-1.0, 0.5, 6.0]
    assert functions.relu(inputs, threshold=1.0).tolist() == [0.0, 0.0, 9.0]
    assert functions.threshold(inputs, threshold=1.0, default_value=-3.0).tolist() == [-3.0, -3.0, 9.0]
