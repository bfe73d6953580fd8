"""Mixtures and k-means against scikit-learn: the same steps from the same start, and by gradients to the same end."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from tests.experiments.fitting import fit, fitted, scores, split
from tests.experiments.test_primer import CONF
from weft.catalog import catalog
from weft.compose import configured
from weft.experiment import prepare

BY_GRADIENTS = ("optimizer=adam", "optimizer.lr=0.03", "scheduler=cosine", "epochs=1500")
IN_PARTS = ("optimizer=sgd", "optimizer.lr=1", "scheduler=cosine", "batch_size=64", "epochs=30")
PRECISIONS: dict[str, Any] = {
    "full": lambda means: np.stack([np.eye(means.shape[1])] * len(means)),
    "tied": lambda means: np.eye(means.shape[1]),
    "diagonal": np.ones_like,
    "spherical": lambda means: np.ones(len(means)),
}


def theirs(covariance: str, *overrides: str) -> GaussianMixture:
    """Return scikit-learn's mixture, from where the experiment begins, after as many steps."""
    wanted, _ = configured(["+experiment=gaussian_mixture", *overrides, "observe.gradients=false"])
    run = prepare(wanted, catalog())
    for callback in run.callbacks.values():
        callback.on_fit_start(run)
    means = run.model.means.detach().numpy()
    made = GaussianMixture(
        len(means),
        covariance_type={"diagonal": "diag"}.get(covariance, covariance),
        weights_init=np.full(len(means), 1 / len(means)),
        means_init=means,
        precisions_init=PRECISIONS[covariance](means),
        max_iter=100,
        tol=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return made.fit(split(run, "train")[0])


@pytest.mark.parametrize("dataset", ["iris", "wine"])
@pytest.mark.parametrize("covariance", PRECISIONS)
def test_a_hundred_steps_are_scikit_learn_s(covariance: str, dataset: str) -> None:
    overrides = (f"dataset.of={dataset}", f"model.covariance={covariance}")
    run, expected = fitted("gaussian_mixture", *overrides), theirs(covariance, *overrides)
    for name in ("train", "valid", "test"):
        assert scores(run, name)[f"{name}/log_likelihood"] == pytest.approx(expected.score(split(run, name)[0]), rel=1e-6)
    np.testing.assert_allclose(run.model.means.detach().numpy(), expected.means_, atol=1e-4)


@pytest.mark.parametrize(
    ("covariance", "seed"), [("diagonal", 0), ("diagonal", 1), ("diagonal", 2), ("tied", 0), ("spherical", 0)]
)
def test_by_gradients_the_likelihood_is_as_high(covariance: str, seed: int) -> None:
    overrides = (f"model.covariance={covariance}", f"seed={seed}")
    run = fitted("gaussian_mixture", *overrides, *BY_GRADIENTS)
    expected = theirs(covariance, *overrides).score(split(run, "train")[0])
    found = scores(run, "train")["train/log_likelihood"]
    assert found == pytest.approx(expected, rel=1e-3)


def test_its_reference_is_scikit_learn_s() -> None:
    reference = yaml.safe_load((CONF / "gaussian_mixture.yaml").read_text())["reference"]
    run = fitted("gaussian_mixture")
    assert reference["at_least"] == pytest.approx(theirs("diagonal").score(split(run, "train")[0]), abs=1e-3)


@pytest.mark.parametrize(
    ("dataset", "way"),
    [("iris", ()), ("iris", IN_PARTS), ("digits", ()), pytest.param("digits", IN_PARTS, marks=pytest.mark.accept)],
)
def test_the_best_of_ten_is_as_near_as_the_best_of_ten_of_scikit_learn(dataset: str, way: tuple[str, ...]) -> None:
    runs = [fit("kmeans", f"dataset.of={dataset}", f"seed={seed}", *way) for seed in range(10)]
    inputs, _ = split(runs[0], "train")
    expected = KMeans(runs[0].model.components, n_init=10, random_state=0).fit(inputs).inertia_ / len(inputs)
    assert min(scores(run, "train")["train/loss"] for run in runs) <= 1.01 * expected


def test_k_means_reference_is_scikit_learn_s_and_one_in_a_hundred() -> None:
    run = fitted("kmeans")
    inputs, _ = split(run, "train")
    tested, _ = split(run, "test")
    expected = -KMeans(10, n_init=10, random_state=0).fit(inputs).score(tested) / len(tested)
    assert yaml.safe_load((CONF / "kmeans.yaml").read_text())["reference"]["at_most"] == pytest.approx(
        1.01 * expected, rel=1e-3
    )
