"""Hinge losses against torch's and scikit-learn's, and the machines that are trained by them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.metrics import hinge_loss
from sklearn.svm import LinearSVC
from torch import Tensor
from torch.nn import functional

from tests.plugins.losses.cases import WEIGHTS, scores
from weft_basics.losses.hinge import Hinge, SquaredHinge

BOTH = [(Hinge, 1), (SquaredHinge, 2)]


@pytest.mark.parametrize("margin", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(("factory", "power"), BOTH)
def test_weston_watkins_is_torch_s_multi_margin(factory: type, power: int, weights: Tensor | None, margin: float) -> None:
    outputs, targets = scores()
    expected = functional.multi_margin_loss(outputs, targets, power, margin, weights)
    torch.testing.assert_close(factory(weights, margin)(outputs, targets), expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_crammer_singer_is_scikit_learn_s(weights: Tensor | None) -> None:
    outputs, targets = scores()
    sample_weight = None if weights is None else weights[targets].numpy()
    expected = hinge_loss(targets.numpy(), outputs.numpy(), labels=range(4), sample_weight=sample_weight)
    if weights is not None:  # its mean is over the weights
        expected *= float(weights[targets].mean())
    assert float(Hinge(weights, multiclass="crammer_singer")(outputs, targets)) == pytest.approx(expected)


def test_one_vs_rest_is_the_mean_of_scikit_learn_s_of_each_class() -> None:
    outputs, targets = scores()
    each = [hinge_loss(targets.numpy() == label, outputs[:, label].numpy(), labels=[False, True]) for label in range(4)]
    assert float(Hinge(multiclass="one_vs_rest")(outputs, targets)) == pytest.approx(np.mean(each))


@pytest.mark.parametrize(("factory", "power"), BOTH)
@pytest.mark.parametrize("margin", [0.5, 3.0])
def test_the_others_by_hand(factory: type, power: int, margin: float) -> None:
    outputs, targets = scores()
    best, each = [], []
    for row, label in zip(outputs.tolist(), targets.tolist(), strict=True):
        others = [score for place, score in enumerate(row) if place != label]
        best.append(max(0, margin + max(others) - row[label]) ** power)
        each += [max(0, margin + (-1 if place == label else 1) * score) ** power for place, score in enumerate(row)]
    found = float(factory(margin=margin, multiclass="crammer_singer")(outputs, targets))
    assert found == pytest.approx(np.mean(best))
    assert float(factory(margin=margin, multiclass="one_vs_rest")(outputs, targets)) == pytest.approx(np.mean(each))


def test_hinge_is_zero_when_the_right_score_wins_by_the_margin() -> None:
    outputs = torch.tensor([[3.0, 1.9, 0.0]])
    assert float(Hinge()(outputs, torch.tensor([0]))) == 0
    assert float(Hinge(margin=2.0)(outputs, torch.tensor([0]))) == pytest.approx(0.9 / 3)
    assert float(Hinge(margin=2.0, multiclass="crammer_singer")(outputs, torch.tensor([0]))) == pytest.approx(0.9)


@pytest.mark.parametrize("strength", [0.1, 1.0])
@pytest.mark.parametrize(
    ("factory", "multiclass", "theirs"),
    [
        (Hinge, "one_vs_rest", {"loss": "hinge", "multi_class": "ovr"}),
        (SquaredHinge, "one_vs_rest", {"loss": "squared_hinge", "multi_class": "ovr"}),
        (Hinge, "crammer_singer", {"multi_class": "crammer_singer"}),
    ],
)
def test_scikit_learn_s_machine_is_the_minimum_by_the_factor_in_the_docstring(
    factory: type, multiclass: str, theirs: dict[str, Any], strength: float
) -> None:
    """No step away from its weights has a smaller objective: not a scaling of them, which another factor would ask for, not
    one against the gradient, not one at random."""
    inputs, labels = load_iris(return_X_y=True)
    inputs = np.hstack([(inputs - inputs.mean(0)) / inputs.std(0), np.ones((len(inputs), 1))])
    machine = LinearSVC(C=strength, fit_intercept=False, tol=1e-9, max_iter=1_000_000, random_state=0, dual=True, **theirs)
    weights = torch.from_numpy(machine.fit(inputs, labels).coef_).requires_grad_()
    samples, answers = torch.from_numpy(inputs), torch.from_numpy(labels).long()
    loss = factory(multiclass=multiclass)
    factor = strength * len(answers) * (len(weights) if multiclass == "one_vs_rest" else 1)

    def objective(weights: Tensor) -> Tensor:
        return weights.square().sum() / 2 + factor * loss(samples @ weights.T, answers)

    least = objective(weights)
    (gradient,) = torch.autograd.grad(least, weights)
    steps = [0.01 * weights, -0.01 * weights, -1e-4 * gradient, *(1e-2 * torch.randn(200, *weights.shape, dtype=torch.float64))]
    assert min(objective(weights + step).item() for step in steps) > least.item() * (1 - 1e-9)
    if factory is SquaredHinge:
        assert float(gradient.abs().max()) < 1e-4 * factor
