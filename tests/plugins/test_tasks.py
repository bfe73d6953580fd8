"""Which targets a task admits."""

from __future__ import annotations

import pytest
import torch

from tests.plugins.box import names
from weft_basics.tasks import Classification, Regression


@pytest.mark.parametrize("task", [Classification, Regression])
def test_defaults_are_in_the_box(task: type) -> None:
    assert task.loss in names("loss")
    assert set(task.metrics) <= set(names("metric"))


def test_classification_takes_labels() -> None:
    Classification().check(3, torch.tensor([0, 2, 1]))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.tensor([0.0, 1.0]), r"int64 of shape \[samples\], not float32"),
        (torch.tensor([0, 1], dtype=torch.int32), "not int32"),
        (torch.tensor([[0], [1]]), r"not int64 of shape \[2, 1\]"),
        (torch.tensor([0, 1, 3, 9]), "label 3 of sample 2 is none of 0 to 2"),
        (torch.tensor([0, -1]), "label -1 of sample 1"),
    ],
)
def test_classification_refuses(targets: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Classification().check(3, targets)


def test_regression_takes_numbers() -> None:
    Regression().check(2, torch.zeros(5, 2))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.zeros(4, 2, dtype=torch.int64), "not int64"),
        (torch.zeros(4), r"shape \[samples, 2\], not float32 of shape \[4\]"),
        (torch.zeros(4, 1), r"not float32 of shape \[4, 1\]"),
        (torch.tensor([[0.0, 1.0], [0.0, float("nan")]]), "target nan of sample 1 is not finite"),
    ],
)
def test_regression_refuses(targets: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Regression().check(2, targets)
