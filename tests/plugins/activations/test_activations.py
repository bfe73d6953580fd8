"""Activations by their formulas and by finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from tests.plugins.box import box, names
from weft.build import Bound
from weft_basics.activations.step import step

FORMULAS: dict[str, Callable[[float], float]] = {
    "identity": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "relu": lambda x: max(0.0, x),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * (math.exp(x) - 1)),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "hard_tanh": lambda x: min(1.0, max(-1.0, x)),
    "step": lambda x: float(x >= 0),
}
POINTS = [-3.0, -1.5, -0.4, -0.01, 0.01, 0.3, 1.7, 4.0]


def made(name: str) -> nn.Module:
    loaded = box()["activation", name]
    options = {option.name: option.default for option in loaded.component.options}
    if loaded.signature.bound:
        return Bound(loaded.factory, options)
    module: nn.Module = loaded.factory(**loaded.signature.fixed, **options)
    return module


def test_every_activation_has_its_formula_here() -> None:
    assert set(names("activation")) == set(FORMULAS)


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name: str) -> None:
    values = made(name)(torch.tensor(POINTS, dtype=torch.float64))
    assert values.tolist() == pytest.approx([FORMULAS[name](point) for point in POINTS], abs=1e-9)


@pytest.mark.parametrize("name", sorted(set(FORMULAS) - {"step"}))
def test_gradient_away_from_corners(name: str) -> None:
    points = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(made(name), points)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_input_stays(name: str) -> None:
    points = torch.tensor(POINTS)
    before = points.clone()
    made(name)(points)
    assert torch.equal(points, before)


@pytest.mark.parametrize("steepness", [0.5, 1.0, 4.0])
def test_step_is_exact_and_has_the_gradient_of_a_sigmoid(steepness: float) -> None:
    points = torch.randn(1000, requires_grad=True)
    values = step(points, steepness)
    assert set(values.tolist()) == {0.0, 1.0}
    assert torch.equal(values, (points >= 0).float())
    (found,) = torch.autograd.grad(values.sum(), points)
    (expected,) = torch.autograd.grad(torch.sigmoid(steepness * points).sum(), points)
    torch.testing.assert_close(found, expected)


def test_step_can_be_mapped_and_keeps_the_precision() -> None:
    points = torch.randn(4, 3, dtype=torch.float64)
    mapped: Tensor = vmap(step)(points)
    assert torch.equal(mapped, step(points))
    assert mapped.dtype == torch.float64
