"""Which targets a task admits."""

from __future__ import annotations

import pytest
import torch

from tests.plugins.box import names
from weft_basics.sequences import IGNORED
from weft_basics.tasks import Classification, LanguageModelling, Regression, SequenceLabelling


@pytest.mark.parametrize("task", [Classification, Regression, SequenceLabelling, LanguageModelling])
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


@pytest.mark.parametrize("task", [SequenceLabelling, LanguageModelling])
def test_sequences_take_a_label_a_place_or_none(task: type) -> None:
    task().check(3, torch.tensor([[0, 2, IGNORED], [1, IGNORED, IGNORED]]))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.tensor([0, 1]), r"int64 of shape \[samples, length\], not int64 of shape \[2\]"),
        (torch.zeros(2, 3), "not float32"),
        (torch.tensor([[0, 1], [2, 3]]), "label 3 of sample 1, place 1 is none of 0 to 2"),
        (torch.tensor([[0, -1]]), "label -1 of sample 0, place 1"),
        (torch.tensor([[0, 1], [IGNORED, IGNORED]]), "sample 1 has no label at any place"),
    ],
)
def test_sequences_refuse(targets: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SequenceLabelling().check(3, targets)
