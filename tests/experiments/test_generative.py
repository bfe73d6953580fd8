"""Generative classifiers against scikit-learn: fitted in one step and by gradients, they predict the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.naive_bayes import GaussianNB

from tests.experiments.fitting import fitted, split

THEIRS = {
    "lda": lambda: LinearDiscriminantAnalysis(solver="lsqr"),  # whose covariance is the likelihood's, over N
    "qda": QuadraticDiscriminantAnalysis,
    "naive_bayes": GaussianNB,
}
WAYS = {
    "in one step": (),
    "by gradients": ("optimizer=adam", "optimizer.lr=0.05", "scheduler=cosine", "epochs=600"),
    "by quasi-Newton steps": ("optimizer=lbfgs", "optimizer.max_iter=1000", "optimizer.line_search_fn=strong_wolfe"),
}


def agreement(run: Any, theirs: Any) -> float:
    """Return the share of all samples for which both predict the same."""
    theirs.fit(*split(run, "train"))
    same = []
    for name in ("train", "valid", "test"):
        inputs, _ = split(run, name)
        with torch.no_grad():
            same.append(run.forward(run.data.splits[name][0]).argmax(1).numpy() == theirs.predict(inputs))
    return float(np.concatenate(same).mean())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dataset", ["iris", "wine"])
@pytest.mark.parametrize("name", THEIRS)
def test_predictions_are_scikit_learn_s(name: str, dataset: str, way: str) -> None:
    run = fitted(name, f"dataset={dataset}", "model.shrinkage=0", *WAYS[way])
    assert agreement(run, THEIRS[name]()) >= 0.995


@pytest.mark.parametrize("shrinkage", [0.01, 0.1])
def test_pixels_without_variance_take_shrinkage_as_scikit_learn_s_do(shrinkage: float) -> None:
    run = fitted("qda", f"model.shrinkage={shrinkage}")
    assert agreement(run, QuadraticDiscriminantAnalysis(reg_param=shrinkage)) >= 0.995


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
def test_without_shrinkage_they_are_finite_all_the_same(precision: str) -> None:
    run = fitted("qda", "model.shrinkage=0", f"precision={precision}")
    assert all(np.isfinite(score) for score in run.scores.values())


def test_both_ways_lead_to_the_same_likelihood() -> None:
    in_one_step, by_gradients = (fitted("qda", "dataset=iris", "model.shrinkage=0", *WAYS[way]) for way in list(WAYS)[:2])
    assert by_gradients.scores["valid/loss"] == pytest.approx(in_one_step.scores["valid/loss"], rel=1e-3)
