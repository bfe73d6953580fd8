"""The systems of a primer, by name: each has a reference, and one command runs all of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.sparse import csr_array
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from tests.command import call
from tests.experiments.fitting import Array, by_the_majority, by_trigrams, fit, fitted, scores, split
from weft import compose, sharing
from weft.catalog import catalog
from weft.data import Data
from weft.experiment import prepare
from weft_basics.sequences import PADDING

CONF = Path(__file__).parents[2] / "conf" / "experiment"
NAMES = [
    *("linear_regression", "ridge", "lasso", "logistic_regression", "svm", "rbf_svm", "perceptron", "mlp", "backpropagation"),
    *("dropout", "cnn", "rnn", "lstm", "gru", "transformer", "language_model", "sequence_labelling", "text_classification"),
    *("speech", "frameworks", "lda", "qda", "naive_bayes", "bayesian_linear_regression"),
    *("gaussian_mixture", "kmeans", "vae", "policy_gradient", "q_learning"),
]


def test_these_are_they() -> None:
    assert sorted(NAMES) == sorted(file.stem for file in CONF.glob("*.yaml"))


def test_each_has_a_reference_with_its_source_and_what_a_sweep_of_all_says_of_it() -> None:
    with compose.hydra_app() as hydra:
        _, composed = sharing.compose_jobs(hydra, ["+experiment=glob(*)", "sweep.name=primer"])
    jobs = [job.configuration for job in composed if job.configuration]
    assert len(jobs) == len(NAMES)
    for job in jobs:
        reference = job.settings.reference
        assert reference.score
        assert reference.source
        assert reference.at_least is not None or reference.at_most is not None
        assert reference.where[0] == f"dataset={job.one('dataset').name}"


REFERENCES: dict[str, tuple[Any, Any]] = {
    "linear_regression": (lambda count: LinearRegression(), "loss"),
    "ridge": (lambda count: Ridge(alpha=0.05 * count), "loss"),
    "lasso": (lambda count: Lasso(alpha=0.05, tol=1e-10, max_iter=100_000), "loss"),
    "logistic_regression": (lambda count: LogisticRegression(C=1 / (0.005 * count), tol=1e-8, max_iter=10_000), "log loss"),
    "svm": (lambda count: SVC(kernel="linear", C=1 / (2 * 0.005 * count)), "accuracy"),
    "lda": (lambda count: LinearDiscriminantAnalysis(solver="lsqr"), "accuracy"),
    "qda": (lambda count: QuadraticDiscriminantAnalysis(reg_param=0.01), "accuracy"),
    "naive_bayes": (lambda count: GaussianNB(), "accuracy"),
    "rbf_svm": (lambda count: SVC(C=1 / (2 * 1e-4 * count), gamma=2.0), "accuracy"),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_number_of_scikit_learn_s_is_scikit_learn_s(name: str) -> None:
    """What stands in the experiment, and in the table that a user sees, is computed here anew."""
    make, score = REFERENCES[name]
    less = 0.01 if name == "rbf_svm" else 0.0
    run = fitted(name)
    inputs, targets = split(run, "train")
    theirs = make(len(inputs)).fit(inputs, targets)
    samples, answers = split(run, "test")
    found = {
        "loss": lambda: mean_squared_error(answers, theirs.predict(samples)),
        "log loss": lambda: log_loss(answers, theirs.predict_proba(samples)),
        "accuracy": lambda: theirs.score(samples, answers),
    }[score]()
    reference = yaml.safe_load((CONF / f"{name}.yaml").read_text())["reference"]
    if score == "accuracy":
        assert reference["at_least"] == pytest.approx(found - less, abs=6e-4)
    else:
        assert (reference["at_least"], reference["at_most"]) == pytest.approx((found - 1e-4, found + 1e-4), abs=6e-5)
    assert float(re.findall(r"0\.\d+", reference["source"])[0]) == pytest.approx(found, abs=6e-4 if less else 6e-5)


def data(name: str) -> Data:
    return prepare(compose.configured([f"+experiment={name}"])[0], catalog()).data


def logistic(name: str) -> float:
    """Return the accuracy of scikit-learn's logistic regression of the numbers in a sample."""
    splits = data(name).splits
    train, test = ((splits[split][0].flatten(1).numpy(), splits[split][1].numpy()) for split in ("train", "test"))
    return float(LogisticRegression(max_iter=5000).fit(*train).score(*test))


def by_word_counts() -> float:
    """Return the accuracy of scikit-learn's logistic regression of how often each word is in a text."""
    found = data("text_classification")
    assert found.vocabulary is not None

    def counts(split: str) -> tuple[csr_array, Array]:
        inputs, targets = found.splits[split]
        rows = [np.bincount(text, minlength=found.vocabulary) for text in inputs.numpy()]
        return csr_array(np.delete(np.stack(rows), PADDING, axis=1)), targets.numpy()  # most words are in few texts

    return float(LogisticRegression(max_iter=5000).fit(*counts("train")).score(*counts("test")))


BASELINES: dict[Callable[[], float], list[str]] = {
    lambda: logistic("mlp"): ["mlp", "cnn"],
    lambda: logistic("speech"): ["speech"],
    lambda: scores(fit("dropout", "regularizer=none"), "test")["test/loss"]: ["dropout"],
    by_word_counts: ["text_classification"],
    lambda: by_the_majority(data("rnn")): ["rnn", "lstm", "gru", "sequence_labelling"],
    lambda: by_trigrams(data("language_model")): ["language_model", "transformer"],
}


@pytest.mark.parametrize(("baseline", "names"), BASELINES.items(), ids=[names[0] for names in BASELINES.values()])
def test_what_is_to_be_surpassed_is_what_it_is_said_to_be(baseline: Callable[[], float], names: list[str]) -> None:
    """The texts differ a little from one Python to the next, and so do their numbers."""
    found = baseline()
    for name in names:
        reference = yaml.safe_load((CONF / f"{name}.yaml").read_text())["reference"]
        assert float(re.findall(r"\d\.\d+", reference["source"])[-1]) == pytest.approx(found, rel=0.02)
        assert reference.get("at_most", found - 1) < found < reference.get("at_least", found + 1)


def sweep(folder: Path, *experiments: str) -> str:
    return call("run", "-m", *experiments, folder=folder, COLUMNS="200").stdout


@pytest.mark.integration
def test_a_sweep_says_what_each_system_reached(tmp_path: Path) -> None:
    shown = sweep(tmp_path, "+experiment=ridge,perceptron,mlp", "epochs=2", "telemetry.wait=0")
    assert "of 3 met their reference" in shown
    rows = [line for line in shown.splitlines() if line.startswith("│") and "/" in line and line.rstrip(" │").endswith("met")]
    assert ["not met" in row for row in rows] == [False, True, True], shown
    assert "1 of 3 met" in shown
    assert "scikit-learn's Ridge has 0.4302" in rows[0]


@pytest.mark.integration
@pytest.mark.accept
@pytest.mark.timeout(3600)
def test_all_systems_meet_their_references(tmp_path: Path) -> None:
    shown = sweep(tmp_path, "+experiment=glob(*)")
    assert f"{len(NAMES)} of {len(NAMES)} met their reference" in shown, shown
