"""The perceptron: Novikoff's bound, Rosenblatt's rule, what it can't learn and what can."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.svm import SVC

from tests.experiments.fitting import Array, fit, fitted, linear, scores, split
from weft.state import Run


def mistakes(run: Run) -> int:
    total: int = run.callbacks["mistakes"].state_dict()["total"]  # type: ignore[attr-defined]
    return total


def bound(inputs: Array, labels: Array) -> float:
    """Return (R / margin)² of samples with a 1 for the bias: R is the longest of them, the margin the widest there is.

    The widest margin is a hard-margin support vector machine's through the origin: that of the samples and their mirror images,
    each of the other class, which leaves no room for a bias.
    """
    whole = np.column_stack([inputs, np.ones(len(inputs))]).astype(np.float64)
    signed = whole * (2 * labels - 1)[:, None]
    machine = SVC(kernel="linear", C=1e9, tol=1e-6)
    machine.fit(np.concatenate([signed, -signed]), np.repeat([1, -1], len(signed)))
    normal = machine.coef_[0] / np.linalg.norm(machine.coef_[0])
    return float((whole**2).sum(1).max() / (signed @ normal).min() ** 2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("data", [[], ["dataset.dimensions=5"], ["dataset.margin=0.01", "dataset.seed=7"]])
def test_separable_samples_are_separated_within_novikoff_s_bound(data: list[str], seed: int) -> None:
    run = fit("perceptron", f"seed={seed}", "epochs=1000", *data)
    assert scores(run, "train")["train/accuracy"] == 1.0
    assert run.epoch < 1000, "it went on after an epoch without a mistake"
    assert 0 < mistakes(run) <= bound(*split(run, "train"))


def test_it_is_rosenblatt_s_rule() -> None:
    """A vector that is added to on the wrong side, and taken from on the other: half the difference of the two scores."""
    run = fitted("perceptron")
    inputs, labels = split(run, "train")
    whole = np.column_stack([inputs, np.ones(len(inputs))]).astype(np.float64)
    signs = 2 * labels - 1
    vector, count = np.zeros(whole.shape[1]), 0
    for epoch in range(run.epoch):
        for place in run.data.order(0, epoch).tolist():
            if signs[place] * (vector @ whole[place]) <= 0:
                vector += signs[place] * whole[place]
                count += 1
    weights, bias = linear(run)
    found = np.append(weights[1] - weights[0], bias[1] - bias[0]) / 2
    np.testing.assert_allclose(found, vector, atol=1e-5)
    assert mistakes(run) == count


def test_exclusive_or_is_beyond_it_and_it_says_what_it_reached() -> None:
    run = fitted("perceptron", "dataset=xor", "dataset.noise=0")
    reached = scores(run, "train")["train/accuracy"]
    assert reached in (0.5, 0.75) or reached == pytest.approx(0.75, abs=0.02), "a line has three corners right at most"
    assert run.epoch == 20, "it ended, as if an epoch had had no mistake"
    assert mistakes(run) > 20 * 4


@pytest.mark.parametrize("seed", range(3))
def test_exclusive_or_is_learned_by_a_hidden_layer(seed: int) -> None:
    assert scores(fit("mlp", "dataset=xor", f"seed={seed}"), "test")["test/accuracy"] == 1.0
    assert scores(fit("mlp", "dataset=xor", f"seed={seed}", "model.activation=step"), "test")["test/accuracy"] >= 0.95
