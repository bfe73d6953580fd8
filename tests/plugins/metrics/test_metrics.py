"""Metrics against scikit-learn and torchmetrics, whatever the batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as reference
from sklearn import metrics as sklearn_metrics
from torch import Tensor

from tests.plugins.box import make, names
from weft_basics.sequences import IGNORED

CLASSES = 4
CLASSIFICATION = ["accuracy", "f1", "precision", "recall", "auroc", "bits_per_token", "perplexity"]
REGRESSION = ["mse", "rmse", "mae", "r2"]
GROUPS = ["adjusted_rand_index", "silhouette", "log_likelihood"]  # test_groups.py
CONTROL = ["return"]  # test_control.py
LESS_IS_BETTER = ["mse", "rmse", "mae", "bits_per_token", "perplexity"]


def measured(name: str, outputs: Tensor, targets: Tensor, pieces: int = 3) -> float:
    task = "classification" if name in CLASSIFICATION else "regression"
    metric = make("metric", name, task=task, outputs=outputs.shape[1])
    for piece, answers in zip(outputs.tensor_split(pieces), targets.tensor_split(pieces), strict=True):
        metric.update(piece, answers)
    return float(metric.compute())


def softmax(outputs: np.ndarray) -> np.ndarray:
    return torch.from_numpy(outputs).softmax(1).numpy()


def by_sklearn(name: str, outputs: np.ndarray, targets: np.ndarray) -> float:
    answers = outputs.argmax(1) if name in CLASSIFICATION else outputs
    functions: dict[str, Any] = {
        "accuracy": lambda: sklearn_metrics.accuracy_score(targets, answers),
        "f1": lambda: sklearn_metrics.f1_score(targets, answers, average="macro", zero_division=0),
        "precision": lambda: sklearn_metrics.precision_score(targets, answers, average="macro", zero_division=0),
        "recall": lambda: sklearn_metrics.recall_score(targets, answers, average="macro", zero_division=0),
        "auroc": lambda: sklearn_metrics.roc_auc_score(targets, softmax(outputs), multi_class="ovr", average="macro"),
        "bits_per_token": lambda: sklearn_metrics.log_loss(targets, softmax(outputs)) / math.log(2),
        "perplexity": lambda: math.exp(sklearn_metrics.log_loss(targets, softmax(outputs))),
        "mse": lambda: sklearn_metrics.mean_squared_error(targets, answers),
        "rmse": lambda: math.sqrt(sklearn_metrics.mean_squared_error(targets, answers)),
        "mae": lambda: sklearn_metrics.mean_absolute_error(targets, answers),
        "r2": lambda: sklearn_metrics.r2_score(targets, answers),
    }
    return float(functions[name]())


def test_all_are_here() -> None:
    assert sorted(names("metric")) == sorted(CLASSIFICATION + REGRESSION + GROUPS + CONTROL)


@pytest.mark.parametrize("pieces", [1, 3, 50])
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_classification_is_sklearn_s(name: str, pieces: int) -> None:
    targets = torch.randint(CLASSES, (200,))
    outputs = torch.randn(200, CLASSES, dtype=torch.float64) + torch.nn.functional.one_hot(targets, CLASSES)
    assert measured(name, outputs, targets, pieces) == pytest.approx(by_sklearn(name, outputs.numpy(), targets.numpy()))


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
def test_macro_averages_are_torchmetrics_s(name: str) -> None:
    function = {
        "f1": reference.multiclass_f1_score,
        "precision": reference.multiclass_precision,
        "recall": reference.multiclass_recall,
    }[name]
    targets, outputs = torch.randint(CLASSES - 1, (50,)), torch.randn(50, CLASSES)
    outputs[:, 3] -= 100  # a class that is in neither
    assert measured(name, outputs, targets) == pytest.approx(float(function(outputs, targets, CLASSES, average="macro")))


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
def test_classes_without_samples_or_answers(name: str) -> None:
    targets = torch.tensor([0, 0, 1, 1])
    outputs = torch.nn.functional.one_hot(torch.tensor([0, 2, 0, 0]), CLASSES).float()
    assert measured(name, outputs, targets) == pytest.approx(by_sklearn(name, outputs.numpy(), targets.numpy()))


def test_auroc_of_classes_that_are_absent() -> None:
    targets, outputs = torch.tensor([0, 1, 0, 1, 1]), torch.randn(5, 3)
    probabilities = outputs.softmax(1)
    expected = [sklearn_metrics.roc_auc_score(targets == label, probabilities[:, label]) for label in (0, 1)]
    assert measured("auroc", outputs, targets) == pytest.approx(sum(expected) / 2)
    assert measured("auroc", outputs, torch.ones(5, dtype=torch.int64)) == 0.5


def test_auroc_of_16_bits_ranks_in_32() -> None:
    targets = torch.arange(400) % 2
    outputs = torch.stack([torch.zeros(400), 6 + torch.randn(400) + 0.5 * targets], 1).bfloat16()
    assert measured("auroc", outputs, targets) == pytest.approx(measured("auroc", outputs.double(), targets), abs=1e-6)


def test_auroc_counts_ties_half() -> None:
    targets = torch.tensor([0, 1, 0, 1])
    assert measured("auroc", torch.zeros(4, 2), targets) == pytest.approx(0.5)


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("pieces", [1, 3, 50])
@pytest.mark.parametrize("name", REGRESSION)
def test_regression_is_sklearn_s(name: str, pieces: int, columns: int) -> None:
    targets = torch.randn(200, columns, dtype=torch.float64) * 3 + 100
    outputs = targets + torch.randn(200, columns, dtype=torch.float64)
    assert measured(name, outputs, targets, pieces) == pytest.approx(by_sklearn(name, outputs.numpy(), targets.numpy()))


def test_r2_survives_a_large_mean_in_32_bits() -> None:
    targets = torch.randn(500, 1) + 10_000
    outputs = targets + 0.5 * torch.randn(500, 1)
    assert measured("r2", outputs, targets) == pytest.approx(by_sklearn("r2", outputs.numpy(), targets.numpy()), abs=1e-4)


@pytest.mark.parametrize("error", [0.0, 0.5])
def test_r2_of_targets_that_are_all_alike(error: float) -> None:
    targets = torch.full((6, 1), 2.5)
    outputs = targets + error
    assert measured("r2", outputs, targets) == by_sklearn("r2", outputs.numpy(), targets.numpy()) == float(error == 0)


@pytest.mark.parametrize("name", CLASSIFICATION + REGRESSION)
def test_reset_forgets(name: str) -> None:
    task = "classification" if name in CLASSIFICATION else "regression"
    metric = make("metric", name, task=task, outputs=2)

    def batch(perfect: bool) -> tuple[Tensor, Tensor]:
        numbers = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
        if name in REGRESSION:
            return numbers, numbers if perfect else numbers.flip(0)
        return numbers, numbers.argmax(1) if perfect else numbers.flip(0).argmax(1)

    assert math.isnan(metric.compute())
    metric.update(*batch(perfect=False))
    first = metric.compute()
    metric.update(*batch(perfect=True))
    assert metric.compute() != first
    metric.reset()
    assert math.isnan(metric.compute())
    metric.update(*batch(perfect=False))
    assert metric.compute() == first


@pytest.mark.parametrize("name", CLASSIFICATION + REGRESSION)
def test_which_way_is_better_and_which_task(name: str) -> None:
    right, wrong = ("classification", "regression") if name in CLASSIFICATION else ("regression", "classification")
    assert make("metric", name, task=right, outputs=3).higher_is_better == (name not in LESS_IS_BETTER)
    with pytest.raises(ValueError, match=f"{name} measures {right}.*, not {wrong}"):
        make("metric", name, task=wrong, outputs=3)


@pytest.mark.parametrize("name", REGRESSION)
def test_shapes_that_would_broadcast_are_refused(name: str) -> None:
    metric = make("metric", name, task="regression", outputs=1)
    with pytest.raises(ValueError, match=r"outputs of shape \[5, 1\] .* targets of shape \[5\]"):
        metric.update(torch.zeros(5, 1), torch.zeros(5))


@pytest.mark.parametrize("task", ["sequence_labelling", "language_modelling"])
@pytest.mark.parametrize("name", [name for name in CLASSIFICATION if name != "auroc"])
def test_places_of_sequences_count_each_for_itself_and_ignored_ones_not(name: str, task: str) -> None:
    outputs, targets = torch.randn(30, 7, CLASSES), torch.randint(CLASSES, (30, 7))
    targets[torch.rand(30, 7) < 0.3] = IGNORED
    metric = make("metric", name, task=task, outputs=CLASSES)
    for piece, answers in zip(outputs.tensor_split(4), targets.tensor_split(4), strict=True):
        metric.update(piece, answers)
    counted = targets != IGNORED
    assert metric.compute() == pytest.approx(measured(name, outputs[counted], targets[counted]), rel=1e-5)


def test_a_perplexity_that_is_no_number_any_more_is_infinite() -> None:
    certain = torch.tensor([[1000.0, 0.0]])
    assert measured("perplexity", certain, torch.tensor([1])) == math.inf
    assert measured("bits_per_token", certain, torch.tensor([1])) == pytest.approx(1000 / math.log(2))


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
def test_averages_over_many_classes_need_no_table_of_all_pairs(name: str) -> None:
    metric = make("metric", name, task="language_modelling", outputs=1_000_000)
    outputs = torch.zeros(2, 1_000_000)
    outputs[:, 7] = 1
    metric.update(outputs, torch.tensor([7, 9]))
    assert metric.compute() == pytest.approx({"f1": 1 / 3, "precision": 1 / 4, "recall": 1 / 2}[name])


def test_guessing_has_the_logarithm_of_the_classes_in_bits() -> None:
    assert measured("bits_per_token", torch.zeros(5, 8), torch.arange(5)) == pytest.approx(3.0)
    assert measured("perplexity", torch.zeros(5, 8), torch.arange(5)) == pytest.approx(8.0)
