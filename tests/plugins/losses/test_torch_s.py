"""Every loss of torch.nn is offered under some name, or it is said why not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.plugins.losses.cases import CLASSES, OF_NUMBERS, loss, numbers, scores

Reference = Callable[[Tensor, Tensor], Tensor]


def one_hot(labels: Tensor) -> Tensor:
    return functional.one_hot(labels, CLASSES).double()


OFFERED: dict[str, tuple[str, Reference]] = {
    "BCELoss": ("bce", lambda outputs, labels: nn.BCELoss()(outputs.sigmoid(), one_hot(labels))),
    "BCEWithLogitsLoss": ("bce", lambda outputs, labels: nn.BCEWithLogitsLoss()(outputs, one_hot(labels))),
    "CrossEntropyLoss": ("cross_entropy", nn.CrossEntropyLoss()),
    "GaussianNLLLoss": ("gaussian_nll", lambda y, t: nn.GaussianNLLLoss(full=True)(y, t, torch.ones_like(y))),
    "HuberLoss": ("huber", nn.HuberLoss()),
    "KLDivLoss": (
        "kl",
        lambda outputs, labels: nn.KLDivLoss(reduction="batchmean")(outputs.log_softmax(1), one_hot(labels)),
    ),
    "L1Loss": ("mae", nn.L1Loss()),
    "MSELoss": ("mse", nn.MSELoss()),
    "MultiMarginLoss": ("hinge", nn.MultiMarginLoss()),
    "NLLLoss": ("nll", lambda outputs, labels: nn.NLLLoss()(outputs.log_softmax(1), labels)),
    "PoissonNLLLoss": ("poisson_nll", nn.PoissonNLLLoss()),
    "SmoothL1Loss": ("smooth_l1", nn.SmoothL1Loss()),
    "SoftMarginLoss": ("bce", lambda outputs, labels: nn.SoftMarginLoss()(outputs, 2 * one_hot(labels) - 1)),
}
"""The name, and torch's class fed with the same scores and labels, or numbers."""

NOT_OFFERED = {
    "AdaptiveLogSoftmaxWithLoss": "a layer with weights of its own, which are the model's to have",
    "CTCLoss": "asks for the lengths of outputs and targets",
    "CosineEmbeddingLoss": "takes three arguments: pairs, and whether they are alike; contrastive makes pairs of a batch",
    "HingeEmbeddingLoss": "takes distances and whether they are to be small; contrastive takes the points and their labels",
    "LinearCrossEntropyLoss": "a layer with weights of its own, which are the model's to have",
    "MarginRankingLoss": "takes three arguments: two scores, and which is to be higher",
    "MultiLabelMarginLoss": "targets of several classes at once, which no task has",
    "MultiLabelSoftMarginLoss": "targets of several classes at once, which no task has",
    "TripletMarginLoss": "takes three arguments; triplet makes triplets of a batch",
    "TripletMarginWithDistanceLoss": "takes three arguments; triplet makes triplets of a batch",
}


def test_every_loss_of_torch_is_offered_or_has_a_reason() -> None:
    theirs = {name for name, found in vars(nn).items() if isinstance(found, type) and name.endswith("Loss")}
    assert theirs - {*OFFERED} - {*NOT_OFFERED} == set()
    assert {*OFFERED} <= theirs
    assert not {*OFFERED} & {*NOT_OFFERED}


@pytest.mark.parametrize("theirs", OFFERED)
def test_value_and_gradient_are_torch_s(theirs: str) -> None:
    name, reference = OFFERED[theirs]
    outputs, targets = numbers() if name in OF_NUMBERS else scores()
    outputs.requires_grad_()
    found, expected = loss(name)(outputs, targets), reference(outputs, targets)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, outputs), torch.autograd.grad(expected, outputs))
