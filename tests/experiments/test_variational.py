"""Variational inference against the posterior that there is a formula for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from tests.experiments.fitting import Array, fitted, split
from tests.experiments.test_primer import CONF

NOISE = 0.7


def posterior(run: Any, prior: float = 1.0) -> tuple[Array, Array]:
    """Return mean (weights,) and covariance (weights, weights) of the weights, the last of which is the bias."""
    inputs, targets = split(run, "train")
    samples = with_bias(inputs)
    covariance = np.linalg.inv(samples.T @ samples / NOISE**2 + np.eye(samples.shape[1]) / prior**2)
    return covariance @ samples.T @ targets / NOISE**2, covariance


def with_bias(inputs: Array) -> Array:
    return np.hstack([inputs, np.ones((len(inputs), 1))])


def learnt(run: Any) -> tuple[Array, Array]:
    return run.model.means.detach().numpy()[0], run.model.covariances().detach().numpy()[0]


@pytest.mark.parametrize(("prior", "overrides"), [(1.0, ()), (0.1, ("model.prior=0.1",))])
def test_mean_and_variance_are_the_posterior_s(prior: float, overrides: tuple[str, ...]) -> None:
    run = fitted("bayesian_linear_regression", *overrides)
    (mean, covariance), (expected, spread) = learnt(run), posterior(run, prior)
    assert np.abs(mean - expected).max() <= 0.05 * np.abs(expected).max()
    assert np.abs(mean - expected).max() <= 0.1 * np.sqrt(np.diag(spread)).min()
    np.testing.assert_allclose(np.diag(covariance), np.diag(spread), rtol=0.05)
    assert np.abs(covariance - spread).max() <= 0.05 * np.abs(spread).max()


def test_weights_that_know_nothing_of_each_other_are_surer_than_they_can_be() -> None:
    """Independent weights have the posterior's precisions in place of its variances (MacKay 2003, section 33.5)."""
    run = fitted("bayesian_linear_regression", "model.covariance=diagonal")
    (mean, covariance), (expected, spread) = learnt(run), posterior(run)
    assert np.abs(mean - expected).max() <= 0.05 * np.abs(expected).max()
    np.testing.assert_allclose(np.diag(covariance), 1 / np.diag(np.linalg.inv(spread)), rtol=0.1)
    assert (np.diag(covariance) / np.diag(spread)).min() < 0.1


def test_its_reference_is_what_the_posterior_s_mean_has() -> None:
    run = fitted("bayesian_linear_regression")
    mean, _ = posterior(run)
    inputs, targets = split(run, "test")
    errors = (with_bias(inputs) @ mean - targets) / NOISE
    expected = float((errors**2).mean() / 2 + np.log(NOISE) + 0.5 * np.log(2 * np.pi))
    reference = yaml.safe_load((CONF / "bayesian_linear_regression.yaml").read_text())["reference"]
    assert (reference["at_least"], reference["at_most"]) == pytest.approx((expected - 1e-3, expected + 1e-3), abs=1e-4)
