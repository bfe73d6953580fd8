"""Cross entropy and its kin against torch's and scikit-learn's, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch import Tensor, nn

from tests.plugins.losses.cases import WEIGHTS, scores
from weft_basics.losses.bce import BinaryCrossEntropy
from weft_basics.losses.cross_entropy import CrossEntropy
from weft_basics.losses.focal import Focal
from weft_basics.losses.kl import KullbackLeibler
from weft_basics.losses.nll import NegativeLogLikelihood
from weft_basics.regularizers.label_smoothing import LabelSmoothing
from weft_basics.sequences import IGNORED

SOME = [None, WEIGHTS]


def test_cross_entropy_by_hand() -> None:
    outputs, targets = scores()
    expected = -torch.stack([outputs[i].softmax(0)[t].log() for i, t in enumerate(targets)]).mean()
    torch.testing.assert_close(CrossEntropy(4)(outputs, targets), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weights", SOME)
def test_cross_entropy_is_torch_s(smoothing: float, weights: Tensor | None) -> None:
    outputs, targets = scores()
    expected = nn.CrossEntropyLoss(weights, label_smoothing=smoothing)(outputs, targets)
    torch.testing.assert_close(CrossEntropy(4, weights, smoothing)(outputs, targets), expected)


@pytest.mark.parametrize("weights", SOME)
def test_likelihoods_are_scikit_learn_s_log_loss(weights: Tensor | None) -> None:
    outputs, targets = scores()
    expected = log_loss(
        targets.numpy(),
        outputs.softmax(1).numpy(),
        labels=range(4),
        sample_weight=None if weights is None else weights[targets].numpy(),
    )
    assert float(CrossEntropy(4, weights)(outputs, targets)) == pytest.approx(expected)
    assert float(NegativeLogLikelihood(weights)(outputs.log_softmax(1), targets)) == pytest.approx(expected)
    if weights is None:
        assert float(KullbackLeibler(4)(outputs, targets)) == pytest.approx(expected)
        assert float(Focal(gamma=0.0)(outputs, targets)) == pytest.approx(expected)


def test_bce_is_scikit_learn_s_log_loss_of_each_class() -> None:
    outputs, targets = scores()
    each = [log_loss(targets.numpy() == label, outputs[:, label].sigmoid().numpy(), labels=[False, True]) for label in range(4)]
    assert float(BinaryCrossEntropy()(outputs, targets)) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("precision", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("factory", [CrossEntropy, KullbackLeibler])
def test_probabilities_can_be_of_another_precision(factory: type, precision: torch.dtype) -> None:
    outputs = torch.randn(9, 4, dtype=precision)
    probabilities = torch.randn(9, 4).softmax(1)
    expected = -(probabilities.double() * outputs.double().log_softmax(1)).sum(1).mean()
    if factory is KullbackLeibler:
        expected += (probabilities.double() * probabilities.double().log()).sum(1).mean()
    torch.testing.assert_close(factory(4)(outputs, probabilities).double(), expected, rtol=1e-5, atol=1e-5)


def test_cross_entropy_refuses_probabilities_with_class_weights() -> None:
    with pytest.raises(ValueError, match="takes labels, not probabilities"):
        CrossEntropy(2, torch.ones(2))(torch.zeros(3, 2), torch.full((3, 2), 0.5))


def test_kl_is_torch_s_and_zero_where_the_probabilities_are_met() -> None:
    outputs, _ = scores()
    probabilities = torch.randn(9, 4, dtype=torch.float64).softmax(1)
    probabilities[0] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    expected = nn.KLDivLoss(reduction="batchmean")(outputs.log_softmax(1), probabilities)
    torch.testing.assert_close(KullbackLeibler(4)(outputs, probabilities), expected)
    met = outputs.softmax(1)
    assert float(KullbackLeibler(4)(outputs, met)) == pytest.approx(0, abs=1e-12)
    assert KullbackLeibler(4).batch_weight(met) == 9


def test_kl_of_smoothed_labels_has_the_gradient_of_the_cross_entropy() -> None:
    outputs, targets = scores()
    subject = KullbackLeibler(4)
    _, smoothed = LabelSmoothing(subject, "classification", 0.2).batch(outputs, targets)
    outputs.requires_grad_()
    (found,) = torch.autograd.grad(subject(outputs, smoothed), outputs)
    (expected,) = torch.autograd.grad(CrossEntropy(4, label_smoothing=0.2)(outputs, targets), outputs)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "outputs", [torch.zeros(2, 3), torch.tensor([[-0.7, -0.7, -90.0], [0.5, 0.2, 0.3]]), torch.full((1, 2), torch.nan)]
)
def test_nll_refuses_what_are_no_log_probabilities(outputs: Tensor) -> None:
    with pytest.raises(ValueError, match=r"sum to (3|4.21998|nan).*cross_entropy, which is for scores.*log_softmax"):
        NegativeLogLikelihood()(outputs, torch.zeros(len(outputs), dtype=torch.int64))


def test_nll_refuses_probabilities() -> None:
    with pytest.raises(ValueError, match="log-probabilities"):
        NegativeLogLikelihood()(torch.randn(5, 3).softmax(1), torch.zeros(5, dtype=torch.int64))


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16, torch.float32])
def test_nll_takes_log_probabilities_that_are_rounded(precision: torch.dtype) -> None:
    for outputs in (torch.zeros(3, 50_000), torch.randn(3, 50_000), torch.tensor([[0.0, -torch.inf]])):
        subject = NegativeLogLikelihood()
        assert subject(outputs.log_softmax(1).to(precision), torch.zeros(len(outputs), dtype=torch.int64)).isfinite()


def test_nll_looks_at_places_that_count_and_at_the_first_call_only() -> None:
    subject = NegativeLogLikelihood()
    outputs = torch.stack([torch.randn(4, 3).log_softmax(1), torch.zeros(4, 3)], 1)
    targets = torch.tensor([[0, IGNORED]] * 4)
    torch.testing.assert_close(subject(outputs, targets), -outputs[:, 0, 0].mean())
    assert float(subject(torch.zeros(2, 3), torch.tensor([0, 1]))) == 0


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("weights", SOME)
def test_focal_by_hand(gamma: float, weights: Tensor | None) -> None:
    outputs, targets = scores()
    right = outputs.softmax(1)[torch.arange(9), targets]
    weight = 1 if weights is None else weights[targets]
    expected = (-weight * (1 - right) ** gamma * right.log()).mean()
    torch.testing.assert_close(Focal(weights, gamma)(outputs, targets), expected)


def test_focal_of_two_classes_is_the_paper_s_sigmoid() -> None:
    score, targets = torch.randn(9, dtype=torch.float64), torch.randint(2, (9,))
    right = torch.where(targets == 1, score.sigmoid(), 1 - score.sigmoid())
    expected = (-((1 - right) ** 2) * right.log()).mean()
    torch.testing.assert_close(Focal()(torch.stack([torch.zeros_like(score), score], 1), targets), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_focal_has_a_gradient_where_the_answer_is_certain(gamma: float) -> None:
    outputs = torch.tensor([[200.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(Focal(gamma=gamma)(outputs, torch.tensor([0])), outputs)
    assert gradient.tolist() == [[0, 0]]
    (gradient,) = torch.autograd.grad(Focal(gamma=gamma)(outputs, torch.tensor([1])), outputs)
    torch.testing.assert_close(gradient, torch.tensor([[1.0, -1.0]]))
