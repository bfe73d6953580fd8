"""Losses that compare the samples of a batch with each other: by hand, and at distance zero."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from tests.plugins.losses.cases import OF_EMBEDDINGS, loss
from weft_basics.losses.contrastive import contrastive
from weft_basics.losses.triplet import triplet

LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 3])


def points() -> Tensor:
    return torch.randn(7, 5, dtype=torch.float64)


@pytest.mark.parametrize("margin", [0.5, 1.0, 4.0])
def test_contrastive_by_hand(margin: float) -> None:
    outputs, losses = points(), []
    for i, j in combinations(range(7), 2):
        apart = math.dist(outputs[i].tolist(), outputs[j].tolist())
        losses.append(apart**2 / 2 if LABELS[i] == LABELS[j] else max(0, margin - apart) ** 2 / 2)
    assert float(contrastive(outputs, LABELS, margin)) == pytest.approx(sum(losses) / len(losses))


def hardest(outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each sample that has both, with the farthest of its label and the nearest of another."""
    places = []
    for anchor, label in enumerate(LABELS.tolist()):
        apart = {other: math.dist(outputs[anchor].tolist(), outputs[other].tolist()) for other in range(7) if other != anchor}
        same = [other for other in apart if LABELS[other] == label]
        rest = [other for other in apart if LABELS[other] != label]
        if same and rest:
            places.append((anchor, max(same, key=apart.__getitem__), min(rest, key=apart.__getitem__)))
    return tuple(outputs[torch.tensor(place)] for place in zip(*places, strict=True))  # type: ignore[return-value]


@pytest.mark.parametrize("margin", [0.5, 1.0, 4.0])
def test_triplet_is_torch_s_of_the_hardest_triplets(margin: float) -> None:
    outputs = points()
    triplets = hardest(outputs)
    assert len(triplets[0]) == 5
    torch.testing.assert_close(triplet(outputs, LABELS, margin), nn.TripletMarginLoss(margin, eps=0)(*triplets))


def test_triplet_with_a_soft_margin_by_hand() -> None:
    outputs = points()
    anchors, same, other = hardest(outputs)
    lacks = (anchors - same).norm(dim=1) - (anchors - other).norm(dim=1)
    torch.testing.assert_close(triplet(outputs, LABELS), (1 + lacks.exp()).log().mean())


@pytest.mark.parametrize("case", OF_EMBEDDINGS)
def test_points_that_are_the_same_have_a_finite_gradient(case: str) -> None:
    outputs = points()
    outputs[2] = outputs[0]  # of the same label
    outputs[1] = outputs[5]  # of another
    for tried in (outputs, torch.zeros_like(outputs), outputs.float()):
        tried = tried.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(case)(tried, LABELS), tried)
        assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("case", "labels"),
    [(case, labels) for case in OF_EMBEDDINGS for labels in ([4], [1, 1, 1], [0, 1, 2]) if labels == [4] or "triplet" in case],
)
def test_a_batch_without_anything_to_compare_is_zero(case: str, labels: list[int]) -> None:
    outputs = torch.randn(len(labels), 3, requires_grad=True)
    found = loss(case)(outputs, torch.tensor(labels))
    (gradient,) = torch.autograd.grad(found, outputs)
    assert found.item() == 0
    assert not gradient.any()


@pytest.mark.parametrize("case", OF_EMBEDDINGS)
def test_small_distances_far_from_zero_keep_their_digits(case: str) -> None:
    """By a matrix product they would be lost: 1e4² has no digit left for 0.01²."""
    outputs = 0.01 * torch.randn(40, 5)
    labels = torch.arange(40) % 3
    moved = (outputs.double() + 1e4).float()
    torch.testing.assert_close(loss(case)(moved, labels), loss(case)((moved.double() - 1e4).float(), labels))


@pytest.mark.parametrize("case", OF_EMBEDDINGS)
def test_labels_come_apart_by_training(case: str) -> None:
    """Three clouds that lie in each other: in the end each sample's nearest other has its label."""
    outputs = torch.randn(30, 2, requires_grad=True)
    labels = torch.arange(30) % 3
    optimizer = torch.optim.Adam([outputs], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        loss(case)(outputs, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    apart = torch.cdist(outputs, outputs).detach().fill_diagonal_(torch.inf)
    assert (labels[apart.argmin(1)] == labels).float().mean() == 1
