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


def test_groups_by_themselves() -> None:
    found = value(Silhouette("clustering"), OUTPUTS, CLASSES, INPUTS)
    assert found == pytest.approx(silhouette_score(INPUTS.flatten(1).numpy(), OUTPUTS.argmax(1).numpy()), rel=1e-6)


def test_some_of_many_samples_are_as_good_as_all_in_whatever_order_they_come() -> None:
    """One group after the other, as a table may have them."""
    groups = torch.arange(5).repeat_interleave(200)
    inputs = 1.5 * torch.randn(5, 3).repeat_interleave(200, 0) + torch.randn(1000, 3)
    outputs = torch.eye(5)[groups]
    expected = silhouette_score(inputs.numpy(), groups.numpy())
    found = []
    for size in (1000, 128):
        metric = Silhouette("clustering", 400)
        for _ in range(2):
            metric.reset()
            for part in torch.arange(1000).split(size):
                metric.update(outputs[part], groups[part], inputs[part])
            found.append(metric.compute())
        assert len(metric.groups) == 400
        assert set(metric.groups.tolist()) == set(range(5))
    assert found[0] == found[1]
    assert found == pytest.approx([expected] * 4, abs=0.03)


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
