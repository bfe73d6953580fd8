"""What losses of labels have in common: places without a label don't count, and classes count by their weights."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.plugins.losses.cases import CLASSES, OF_LABELS, WEIGHED, WEIGHTS, loss, scores, sequences
from weft_basics.sequences import IGNORED

OVER_WEIGHTS = ("cross_entropy", "smoothed", "nll", "joint_nll")
"""Whose mean is over the labels' weights, as torch's; that of the others is over the places."""


@pytest.mark.parametrize("case", OF_LABELS)
def test_places_without_a_label_do_not_count(case: str) -> None:
    outputs, targets = sequences()
    counted = targets != IGNORED
    subject = loss(case)
    expected = subject(outputs[counted], targets[counted])
    torch.testing.assert_close(subject(outputs, targets), expected)
    changed = outputs.where(counted.unsqueeze(2), 1e3 * torch.randn_like(outputs)).requires_grad_()
    found = subject(changed, targets)
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found, changed)
    assert not gradient[~counted].any()
    assert gradient[counted].any()


@pytest.mark.parametrize("case", WEIGHED)
def test_places_without_a_label_do_not_count_with_class_weights(case: str) -> None:
    outputs, targets = sequences()
    counted = targets != IGNORED
    subject = loss(case, class_weights=WEIGHTS)
    torch.testing.assert_close(subject(outputs, targets), subject(outputs[counted], targets[counted]))


@pytest.mark.parametrize("case", sorted({*WEIGHED} - {"smoothed"}))
def test_class_weights_multiply_each_sample_s_loss(case: str) -> None:
    outputs, targets = scores()
    each = torch.stack([loss(case)(outputs[i : i + 1], targets[i : i + 1]) for i in range(len(targets))])
    weights = WEIGHTS[targets]
    expected = (each * weights).sum() / (weights.sum() if case in OVER_WEIGHTS else len(targets))
    torch.testing.assert_close(loss(case, class_weights=WEIGHTS)(outputs, targets), expected)


@pytest.mark.parametrize("case", sorted({*WEIGHED} - {"smoothed"}))
def test_a_batch_whose_classes_weigh_nothing_counts_for_nothing(case: str) -> None:
    outputs, targets = scores()
    outputs.requires_grad_()
    subject = loss(case, class_weights=torch.zeros(CLASSES, dtype=torch.float64))
    found = subject(outputs, targets)
    (gradient,) = torch.autograd.grad(found, outputs)
    assert found.item() == 0
    assert not gradient.any()
    assert float(subject.batch_weight(targets)) > 0  # type: ignore[attr-defined] # it is divided by


@st.composite
def _batches(draw: st.DrawFn) -> tuple[Tensor, Tensor, list[int], Tensor | None]:
    """Scores and labels of sequences or of whole samples, where they are cut into batches, and class weights."""
    samples, length = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    seed = draw(st.integers(0, 2**32))
    generator = torch.Generator().manual_seed(seed)
    outputs = 3 * torch.randn(samples, length, CLASSES, dtype=torch.float64, generator=generator)
    targets = torch.randint(CLASSES, (samples, length), generator=generator)
    counted = draw(
        st.lists(st.lists(st.booleans(), min_size=length, max_size=length).filter(any), min_size=samples, max_size=samples)
    )
    targets = targets.where(torch.tensor(counted), IGNORED)
    if draw(st.booleans()):
        outputs, targets = outputs[targets != IGNORED], targets[targets != IGNORED]
    cuts = draw(st.sets(st.integers(1, len(targets)), max_size=3))
    some = st.sampled_from([0.25, 1.0, 3.0])
    weights = draw(st.none() | st.lists(some, min_size=CLASSES, max_size=CLASSES))
    return outputs, targets, sorted({0, len(targets), *cuts}), None if weights is None else torch.tensor(weights).double()


@pytest.mark.parametrize("case", OF_LABELS)
@settings(max_examples=50, deadline=None)
@given(batches=_batches())
def test_the_weighted_mean_over_batches_is_the_loss_of_the_whole(case: str, batches: tuple) -> None:  # type: ignore[type-arg]
    outputs, targets, cuts, weights = batches
    subject = loss(case, **({"class_weights": weights} if case in WEIGHED else {}))
    total, whole = 0.0, 0.0
    for start, end in pairwise(cuts):
        weight = float(subject.batch_weight(targets[start:end]))  # type: ignore[attr-defined]
        total += weight * float(subject(outputs[start:end], targets[start:end]))
        whole += weight
    assert whole == pytest.approx(float(subject.batch_weight(targets)))  # type: ignore[attr-defined]
    assert total / whole == pytest.approx(float(subject(outputs, targets)), rel=1e-9)


@pytest.mark.parametrize("case", OF_LABELS)
def test_labels_one_a_sample_are_counted_without_looking_at_them(case: str) -> None:
    """A GPU would have to be waited for: the number is no tensor."""
    weight = loss(case).batch_weight(torch.zeros(7, dtype=torch.int64))  # type: ignore[attr-defined]
    assert weight == 7
    assert isinstance(weight, int)
