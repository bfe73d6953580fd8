"""The losses, held against the library's own and against what they are by hand."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_optimizer
import torch
from torch.nn import functional
from training import loss

from weft.errors import ConfigError
from weft_pytorch_optimizer.names import LOSSES

CLASSES = 3
NEEDED: dict[str, dict[str, Any]] = {"ldamloss": {"num_class_list": [40, 20, 10]}}


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, CLASSES, generator=generator), torch.arange(8) % CLASSES


@pytest.mark.parametrize("name", LOSSES)
def test_the_right_scores_have_less_loss_than_the_wrong_ones(name: str) -> None:
    _, labels = batch()
    made = loss(name, CLASSES, **NEEDED.get(name, {}))
    right = 4.0 * functional.one_hot(labels, CLASSES) - 2
    assert made(right, labels) < made(torch.zeros_like(right), labels) < made(-right, labels)


@pytest.mark.parametrize(
    ("name", "made", "probabilities"),
    [
        ("bceloss", pytorch_optimizer.BCELoss(), True),
        ("bcefocalloss", pytorch_optimizer.BCEFocalLoss(), True),
        ("focalloss", pytorch_optimizer.FocalLoss(), False),
        ("softf1loss", pytorch_optimizer.SoftF1Loss(), True),
        ("tverskyloss", pytorch_optimizer.TverskyLoss(), False),
        ("focaltverskyloss", pytorch_optimizer.FocalTverskyLoss(), False),
        ("lovaszhingeloss", pytorch_optimizer.LovaszHingeLoss(), False),
    ],
)
def test_a_loss_for_yes_or_no_is_of_each_class_against_the_rest(name: str, made: Any, probabilities: bool) -> None:
    scores, labels = batch()
    truths = functional.one_hot(labels, CLASSES).float()
    assert torch.equal(loss(name, CLASSES)(scores, labels), made(scores.sigmoid() if probabilities else scores, truths))


def test_bceloss_is_the_mean_over_samples_and_classes() -> None:
    scores, labels = batch()
    truths = functional.one_hot(labels, CLASSES).float()
    expected = functional.binary_cross_entropy_with_logits(scores, truths)
    torch.testing.assert_close(loss("bceloss", CLASSES)(scores, labels), expected)


def test_binary_bi_tempered_is_the_library_s() -> None:
    scores, labels = batch()
    truths = functional.one_hot(labels, CLASSES).float()
    expected = pytorch_optimizer.BinaryBiTemperedLogisticLoss(0.8, 1.2)(scores[:, None], truths[:, None])
    assert torch.equal(loss("binarybitemperedlogisticloss", CLASSES)(scores, labels), expected)


def test_bi_tempered_without_temperatures_is_cross_entropy() -> None:
    scores, labels = batch()
    found = loss("bitemperedlogisticloss", CLASSES, t1=1.0, t2=1.0)(scores, labels)
    torch.testing.assert_close(found, functional.cross_entropy(scores, labels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "overlap"), [("diceloss", 2.0), ("jaccardloss", 1.0)])
def test_an_overlap_s_loss_is_nothing_where_all_is_certain_and_right(name: str, overlap: float) -> None:
    _, labels = batch()
    made = loss(name, CLASSES)
    assert float(made(100.0 * functional.one_hot(labels, CLASSES), labels)) == pytest.approx(0, abs=1e-6)
    shares = torch.bincount(labels) / len(labels)
    alike = 1 / CLASSES  # the probability of each class, whatever the sample
    expected = 1 - overlap * shares * alike / (shares + alike - (0 if name == "diceloss" else 1) * shares * alike)
    assert float(made(torch.zeros(8, CLASSES), labels)) == pytest.approx(float(expected.mean()))


def test_ldam_has_the_largest_margin_for_the_rarest_class_and_weighs_a_batch_by_its_classes() -> None:
    weights = torch.tensor([1.0, 2.0, 4.0])
    made = loss("ldamloss", CLASSES, weights, num_class_list=[10_000, 16, 1], max_m=0.5, s=1.0)
    assert made.m_list.squeeze().tolist() == pytest.approx([0.05, 0.25, 0.5])
    assert made.batch_weight(torch.tensor([0, 2, 2])) == 9.0
    assert loss("ldamloss", CLASSES, num_class_list=[3, 2, 1]).batch_weight(torch.tensor([0, 2, 2])) == 3.0


def test_ldam_refuses_a_list_that_is_not_of_the_classes() -> None:
    with pytest.raises(ConfigError, match="num_class_list has 2 numbers, and there are 3 classes"):
        loss("ldamloss", CLASSES, num_class_list=[10, 20])


@pytest.mark.parametrize("name", ["bceloss", "bcefocalloss", "binarybitemperedlogisticloss"])
def test_autocast_leaves_probabilities_in_single_precision(name: str) -> None:
    scores, labels = batch()
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(name, CLASSES)(scores.bfloat16(), labels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss(name, CLASSES)(scores.bfloat16().float(), labels))
