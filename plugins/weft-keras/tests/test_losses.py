"""Keras's losses are Keras's numbers, for weft's outputs and targets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from weft_keras import keras
from weft_keras.backend import settings_of_a_model
from weft_keras.losses import _OF_LABELS, _OF_NUMBERS, labels, numbers

OPTIONS: dict[str, dict[str, Any]] = {
    "CategoricalCrossentropy": {"label_smoothing": 0.1},
    "CategoricalFocalCrossentropy": {"alpha": 0.4, "gamma": 1.5, "label_smoothing": 0.1},
    "BinaryCrossentropy": {"label_smoothing": 0.1},
    "BinaryFocalCrossentropy": {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5, "label_smoothing": 0.1},
}


def scores(*shape: int) -> Tensor:
    return torch.randn(*shape, 5, generator=torch.Generator().manual_seed(2))


def targets(*shape: int) -> Tensor:
    return torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(3))


def made(name: str, **options: Any) -> labels.OfLabels:
    kind = getattr(labels, name)
    return kind(outputs=5, **options) if issubclass(kind, labels.OfProbabilities) else kind(**options)


def by_keras(name: str, outputs: Tensor, labelled: Tensor, options: dict[str, Any]) -> float:
    """Return the loss by Keras's class, as a user of Keras would call it."""
    with settings_of_a_model():
        one_hot = functional.one_hot(labelled, 5).float()
        logits = {"from_logits": True} if "rossentropy" in name else {}
        loss = getattr(keras.losses, name)(**logits, **options)
        if name.startswith("Sparse"):
            return float(loss(labelled, outputs))
        if name in ("Hinge", "SquaredHinge"):
            one_hot = 2 * one_hot - 1
        return float(loss(one_hot, outputs.softmax(-1) if name == "KLDivergence" else outputs))


@pytest.mark.parametrize("with_options", [False, True])
@pytest.mark.parametrize("name", _OF_LABELS.values())
def test_a_loss_of_labels_is_that_of_keras_s_class(name: str, with_options: bool) -> None:
    options = OPTIONS.get(name, {}) if with_options else {}
    outputs, labelled = scores(8), targets(8)
    assert float(made(name, **options)(outputs, labelled)) == pytest.approx(
        by_keras(name, outputs, labelled, options), rel=1e-5
    )


@pytest.mark.parametrize("name", _OF_LABELS.values())
def test_places_without_a_label_are_passed_over(name: str) -> None:
    outputs, labelled = scores(3, 4), targets(3, 4)
    labelled[0, 2:] = labelled[2, 0] = -100
    loss = made(name)
    there = labelled >= 0
    assert float(loss(outputs, labelled)) == pytest.approx(float(loss(outputs[there], labelled[there])), rel=1e-6)
    assert int(loss.batch_weight(labelled)) == 9


@pytest.mark.parametrize("name", _OF_LABELS.values())
def test_class_weights_multiply_as_in_keras_s_fit(name: str) -> None:
    outputs, labelled = scores(8), targets(8)
    weights = torch.tensor([1.0, 2.0, 0.5, 0.0, 3.0])
    each = torch.stack([made(name)(outputs[[i]], labelled[[i]]) for i in range(8)])
    found = float(made(name, class_weights=weights)(outputs, labelled))
    assert found == pytest.approx(float((weights[labelled] * each).mean()), rel=1e-5)


@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "BinaryCrossentropy", "KLDivergence"])
def test_probabilities_are_taken_as_they_are(name: str) -> None:
    outputs, labelled = scores(8), targets(8)
    one_hot = functional.one_hot(labelled, 5).float()
    assert float(made(name)(outputs, one_hot)) == pytest.approx(float(made(name)(outputs, labelled)), rel=1e-6)
    smooth = one_hot * 0.9 + 0.02
    expected = float(functional.cross_entropy(outputs, smooth))
    if name == "CategoricalCrossentropy":
        assert float(made(name)(outputs, smooth)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", _OF_NUMBERS)
def test_a_loss_of_numbers_is_that_of_keras_s_class(name: str) -> None:
    outputs, wanted = scores(8), scores(8).roll(1, 0).abs() + 0.1
    options = {"delta": 0.3} if name == "huber" else {}
    kind = {"log_cosh": "LogCosh"}.get(name, "".join(part.capitalize() for part in name.split("_")))
    with settings_of_a_model():
        expected = float(getattr(keras.losses, kind)(**options)(wanted, outputs))
    assert float(getattr(numbers, name)(outputs, wanted, **options)) == pytest.approx(expected, rel=1e-5)


def test_numbers_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"outputs of shape \[8, 1\] can't be held against targets of shape \[8\]"):
        numbers.mean_squared_error(torch.zeros(8, 1), torch.zeros(8))


def test_in_float64_a_loss_is_computed_in_float64() -> None:
    outputs, labelled = scores(8).double(), targets(8)
    found = made("CategoricalCrossentropy")(outputs, labelled)
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(float(functional.cross_entropy(outputs, labelled)), rel=1e-13)
