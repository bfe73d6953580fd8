"""Both meters measure the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from weft.telemetry.statistics import InMemory, OnDevice, meter


def numbers(found: list[float] | list[Tensor]) -> list[float]:
    return [float(number) for number in found]


@pytest.fixture
def weights() -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=draw) for shape in ([], [5], [3, 4], [2, 1, 3, 3])]


def test_the_meter_fits_where_the_weights_are(weights: list[Tensor]) -> None:
    assert isinstance(meter(weights), InMemory)
    assert isinstance(meter([weight.bfloat16() for weight in weights]), OnDevice)
    assert isinstance(meter([torch.randn(3, 4).T]), OnDevice)


@pytest.mark.parametrize("kind", [InMemory, OnDevice])
def test_gradients_and_updates(kind: type[InMemory] | type[OnDevice], weights: list[Tensor]) -> None:
    gradients = [weight.clone() for weight in weights]
    gradients[1][:2] = 0
    found = numbers(kind(weights).gradients(gradients))
    expected = [float(gradient.norm()) for gradient in gradients] + [float((gradient != 0).sum()) for gradient in gradients]
    assert found[:8] == pytest.approx(expected, rel=1e-5)
    assert found[8:] in ([], [1, 5, 12, 18])

    gauge = kind(weights)
    gauge.keep()
    before = [weight.clone() for weight in weights]
    for weight in weights:
        weight.mul_(1.5)
    expected = [float(old.norm()) for old in before] + [0.5 * float(old.norm()) for old in before]
    assert numbers(gauge.updates()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", [InMemory, OnDevice])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_counted(kind: type[InMemory] | type[OnDevice], bad: float, weights: list[Tensor]) -> None:
    weights[2][0, 1] = bad
    assert numbers(kind(weights).gradients(weights))[8:] == [1, 5, 11, 18]


@pytest.mark.parametrize("kind", [InMemory, OnDevice])
def test_weights_that_were_put_elsewhere_are_followed(kind: type[InMemory] | type[OnDevice]) -> None:
    """As by an optimizer that says `p.data = p.data - …`."""
    weight = torch.nn.Parameter(torch.ones(4))
    gauge = kind([weight])
    gauge.keep()
    weight.data = weight.data * 3
    assert numbers(gauge.updates()) == pytest.approx([2.0, 4.0])
    gauge.keep()
    weight.data = weight.data * 2
    assert numbers(gauge.updates()) == pytest.approx([6.0, 6.0])


@pytest.mark.gpu
def test_on_a_gpu(weights: list[Tensor]) -> None:
    here = numbers(InMemory(weights).gradients(weights))
    there = meter([weight.cuda() for weight in weights])
    assert isinstance(there, OnDevice)
    assert numbers(there.gradients([weight.cuda() for weight in weights]))[:8] == pytest.approx(here[:8], rel=1e-5)
