"""Both meters measure the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from weft.telemetry.statistics import InMemory, Meter, OnDevice, meter

Kind = type[InMemory] | type[OnDevice]


def seen(gauge: Meter, gradients: list[Tensor]) -> list[float]:
    gauge.look(gradients)
    gauge.look_again()
    return gauge.take().tolist()[0]  # type: ignore[no-any-return]


@pytest.fixture
def weights() -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=draw) for shape in ([], [5], [3, 4], [2, 1, 3, 3])]


def test_the_meter_fits_where_the_weights_are_and_how_many(weights: list[Tensor]) -> None:
    assert isinstance(meter(weights), InMemory)
    assert isinstance(meter([*weights, torch.randn(3, 4).T, torch.randn(300, 1000)]), InMemory)
    assert isinstance(meter([weight.double() for weight in weights]), InMemory)
    assert isinstance(meter([weight.bfloat16() for weight in weights]), OnDevice)
    assert isinstance(meter([*weights, torch.randn(2).double()]), OnDevice)
    assert isinstance(meter([torch.empty(1100, 1000)]), OnDevice)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [InMemory, OnDevice])
def test_gradients_and_updates_of_every_step(kind: Kind, dtype: torch.dtype, weights: list[Tensor]) -> None:
    """Over more steps than are kept aside at once, with a settling in between."""
    weights = [weight.to(dtype) for weight in weights]
    gauge, draw, found, expected = kind(weights), torch.Generator().manual_seed(1), kind(weights).take(), []
    for step in range(150):
        gradients = [torch.randn(weight.shape, generator=draw, dtype=dtype) for weight in weights]
        gradients[1][: step % 5] = 0
        before = [weight.clone() for weight in weights]
        gauge.look(gradients)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.sub_(gradient, alpha=0.01)
            gradient.fill_(7)  # an optimizer may use them up
        gauge.look_again()
        if step == 30:
            found = gauge.take()
        expected.append((before, [weight.clone() for weight in weights]))
    draw.manual_seed(1)
    for step, (row, (before, after)) in enumerate(zip(torch.cat([found, gauge.take()]), expected, strict=True)):
        gradients = [torch.randn(weight.shape, generator=draw, dtype=dtype) for weight in weights]
        gradients[1][: step % 5] = 0
        norms = [float(gradient.norm()) for gradient in gradients]
        counts = [float((gradient != 0).sum()) for gradient in gradients]
        assert row[:12].tolist() == pytest.approx([*norms, *counts, 0, 0, 0, 0], rel=1e-5)
        moves = [float((new - old).norm()) for old, new in zip(before, after, strict=True)]
        assert row[12:].tolist() == pytest.approx([*(float(old.norm()) for old in before), *moves], rel=1e-4)


@pytest.mark.parametrize("kind", [InMemory, OnDevice])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_counted(kind: Kind, bad: float, weights: list[Tensor]) -> None:
    weights[2][0, 1] = bad
    assert seen(kind(weights), weights)[8:12] == [0, 0, 1, 0]


@pytest.mark.parametrize("kind", [InMemory, OnDevice])
def test_a_norm_that_overflows_is_infinite_and_nothing_else_is(kind: Kind, weights: list[Tensor]) -> None:
    weights[2][0, 1] = 1e30
    found = seen(kind(weights), weights)
    assert found[2] in (float("inf"), pytest.approx(1e30))
    assert found[8:12] == [0, 0, 0, 0]


def test_the_same_numbers_give_the_same_bits_in_every_row() -> None:
    """Or a run cut in two would record other values than an uncut one."""
    draw = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=draw) for shape in ([7], [13, 11], [129], [3])]
    gauge = InMemory(weights)
    for _ in range(70):
        gauge.look(weights)
        gauge.look_again()
    rows = gauge.take()
    assert len(rows) == 70
    assert len({tuple(row.tolist()) for row in rows}) == 1


@pytest.mark.parametrize("kind", [InMemory, OnDevice])
def test_weights_that_were_put_elsewhere_are_followed(kind: Kind) -> None:
    """As by an optimizer that says `p.data = p.data - …`."""
    weight = torch.nn.Parameter(torch.ones(4))
    gauge = kind([weight])
    for factor in (3, 2):
        gauge.look([torch.ones(4)])
        weight.data = weight.data * factor
        gauge.look_again()
    assert [row[3:].tolist() for row in gauge.take()] == [pytest.approx([2.0, 4.0]), pytest.approx([6.0, 6.0])]


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_counts_beyond_its_own_range(kind: torch.dtype) -> None:
    found = seen(meter([torch.ones(300, 300, dtype=kind)]), [torch.ones(300, 300, dtype=kind)])
    assert found == pytest.approx([300, 90_000, 0, 300, 0])


@pytest.mark.gpu
def test_on_a_gpu(weights: list[Tensor]) -> None:
    here = seen(InMemory(weights), weights)
    there = meter([weight.cuda() for weight in weights])
    assert isinstance(there, OnDevice)
    assert seen(there, [weight.cuda() for weight in weights]) == pytest.approx(here, rel=1e-5)
