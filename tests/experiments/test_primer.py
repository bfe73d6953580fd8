"""The systems of a primer, by name: each has a reference, and one command runs all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.svm import SVC

from tests.experiments.fitting import fitted, split
from weft import compose

CONF = Path(__file__).parents[2] / "conf" / "experiment"
NAMES = [
    *("linear_regression", "ridge", "lasso", "logistic_regression", "svm", "rbf_svm", "perceptron", "mlp", "backpropagation"),
    *("dropout", "cnn", "rnn", "lstm", "gru", "transformer", "language_model", "sequence_labelling", "text_classification"),
    "speech",
]


def test_these_are_they() -> None:
    assert sorted(NAMES) == sorted(file.stem for file in CONF.glob("*.yaml"))


def test_each_has_a_reference_with_its_source_and_what_a_sweep_of_all_says_of_it() -> None:
    with compose.hydra_app() as hydra:
        _, jobs = compose.check_jobs(hydra, ["+experiment=glob(*)", "sweep.name=primer"])
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
    "rbf_svm": (lambda count: SVC(C=1 / (2 * 1e-4 * count), gamma=2.0), "accuracy"),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_a_number_of_scikit_learn_s_is_scikit_learn_s(name: str) -> None:
    """What stands in the experiment, and in the table that a user sees, is computed here anew."""
    make, score = REFERENCES[name]
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
    lowest, highest = reference.get("at_least", found), reference.get("at_most", found)
    assert lowest <= found <= highest
    assert f"{found:.4f}"[:5] in reference["source"] or f"{found:.3f}" in reference["source"]


def sweep(folder: Path, *experiments: str) -> str:
    command = [sys.executable, "-m", "weft.cli", "run", "-m", *experiments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.integration
def test_a_sweep_says_what_each_system_reached(tmp_path: Path) -> None:
    shown = sweep(tmp_path, "+experiment=ridge,perceptron,mlp", "epochs=2", "telemetry.wait=0")
    assert "of 3 met their reference" in shown
    rows = [line for line in shown.splitlines() if "│" in line and "test/" in line and ("met" in line)]
    assert len(rows) == 3
    assert "scikit-learn's Ridge has 0.4302" in rows[0]


@pytest.mark.integration
@pytest.mark.accept
@pytest.mark.timeout(3600)
def test_all_systems_meet_their_references(tmp_path: Path) -> None:
    shown = sweep(tmp_path, "+experiment=glob(*)")
    assert f"{len(NAMES)} of {len(NAMES)} met their reference" in shown, shown
