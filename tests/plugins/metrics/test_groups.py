"""Metrics of groups and densities are scikit-learn's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.metrics import adjusted_rand_score, silhouette_score

from weft_basics.metrics.clusters import AdjustedRandIndex, Silhouette
from weft_basics.metrics.density import LogLikelihood

OUTPUTS = torch.randn(60, 3)
CLASSES = torch.randint(3, (60,))
INPUTS = torch.randn(60, 2, 2)


def value(metric: Any, *given: torch.Tensor) -> float:
    for part in (slice(25), slice(25, None)):
        metric.update(*(tensor[part] for tensor in given))
    return float(metric.compute())


def test_groups_held_against_classes() -> None:
    found = value(AdjustedRandIndex("clustering"), OUTPUTS, CLASSES)
    assert found == pytest.approx(adjusted_rand_score(CLASSES.numpy(), OUTPUTS.argmax(1).numpy()))


@pytest.mark.parametrize("samples", [2000, 40])
def test_groups_by_themselves(samples: int) -> None:
    found = value(Silhouette("clustering", samples), OUTPUTS, CLASSES, INPUTS)
    expected = silhouette_score(INPUTS.flatten(1)[:samples].numpy(), OUTPUTS.argmax(1)[:samples].numpy())
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("groups", [1, 60])
def test_one_group_and_a_group_each_have_no_silhouette(groups: int) -> None:
    outputs = torch.eye(60) if groups == 60 else torch.ones(60, 3)
    assert value(Silhouette("clustering"), outputs, CLASSES, INPUTS) == 0


def test_a_density_is_the_sum_over_components() -> None:
    assert value(LogLikelihood("density"), OUTPUTS, CLASSES) == pytest.approx(float(OUTPUTS.logsumexp(1).mean()), rel=1e-6)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (AdjustedRandIndex, "adjusted_rand_index measures clustering or density, not classification"),
        (LogLikelihood, "measures density"),
    ],
)
def test_a_task_that_has_none_is_refused(metric: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric("classification")
