"""The perceptron against Rosenblatt's rule by hand and scikit-learn's."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import Perceptron as Theirs

from tests.plugins.losses.cases import WEIGHTS, scores
from weft_basics.losses.perceptron import Perceptron


def test_by_hand() -> None:
    outputs, targets = scores()
    lacks = []
    for row, label in zip(outputs.tolist(), targets.tolist(), strict=True):
        lacks.append(max(0.0, max(score for place, score in enumerate(row) if place != label) - row[label]))
    lacking = torch.tensor(lacks, dtype=torch.float64)
    torch.testing.assert_close(Perceptron()(outputs, targets), lacking.mean())
    torch.testing.assert_close(Perceptron(WEIGHTS)(outputs, targets), (lacking * WEIGHTS[targets]).mean())


def test_a_tie_has_the_gradient_of_a_mistake() -> None:
    outputs = torch.zeros(1, 2, requires_grad=True)
    found = Perceptron()(outputs, torch.tensor([1]))
    assert found.item() == 0
    assert torch.autograd.grad(found, outputs)[0].tolist() == [[1, -1]]


def test_a_tie_of_several_goes_to_all_that_are_tied() -> None:
    outputs = torch.tensor([[2.0, 2.0, 1.0, 2.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(Perceptron()(outputs, torch.tensor([1])), outputs)
    assert gradient.tolist() == [[0.5, -1, 0, 0.5]]


def test_a_right_answer_has_no_gradient() -> None:
    outputs = torch.tensor([[0.0, 1e-6]], requires_grad=True)
    (gradient,) = torch.autograd.grad(Perceptron()(outputs, torch.tensor([1])), outputs)
    assert gradient.tolist() == [[0, 0]]


def test_one_sample_a_step_from_zero_is_scikit_learn_s() -> None:
    """Two outputs move apart by twice the sample at each mistake, where scikit-learn's single one moves by the sample."""
    inputs, labels = load_breast_cancer(return_X_y=True)
    inputs = np.hstack([(inputs - inputs.mean(0)) / inputs.std(0), np.ones((len(inputs), 1))])
    theirs = Theirs(fit_intercept=False, shuffle=False, max_iter=3, tol=None).fit(inputs, labels)
    weights = learned(inputs, labels, 2, epochs=3)
    np.testing.assert_allclose((weights[1] - weights[0]) / 2, theirs.coef_[0], rtol=1e-9, atol=1e-9)


def test_one_sample_a_step_from_zero_is_the_rule_of_several_classes() -> None:
    """By hand: the label's weights take the sample, the best others' lose it in equal parts, at each mistake or tie."""
    inputs, labels = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    inputs, labels = np.round(inputs[order] * 8), labels[order]  # whole numbers, so that ties are exact
    expected = np.zeros((3, 4))
    for _ in range(2):
        for sample, label in zip(inputs, labels, strict=True):
            answers = expected @ sample
            rivals = np.delete(np.arange(3), label)
            best = rivals[answers[rivals] == answers[rivals].max()]
            if answers[best[0]] >= answers[label]:
                expected[label] += sample
                expected[best] -= sample / len(best)
    assert expected.any()
    np.testing.assert_allclose(learned(inputs, labels, 3, epochs=2), expected, rtol=1e-12)


def learned(inputs: np.ndarray, labels: np.ndarray, classes: int, epochs: int) -> np.ndarray:
    """Return the weights after SGD at rate 1, one sample a step, from zero."""
    samples, targets = torch.from_numpy(inputs), torch.from_numpy(labels).long()
    weights = torch.zeros(classes, samples.shape[1], dtype=torch.float64, requires_grad=True)
    loss = Perceptron()
    for _ in range(epochs):
        for sample, target in zip(samples.split(1), targets.split(1), strict=True):
            (gradient,) = torch.autograd.grad(loss(sample @ weights.T, target), weights)
            with torch.no_grad():
                weights -= gradient
    return weights.detach().numpy()
