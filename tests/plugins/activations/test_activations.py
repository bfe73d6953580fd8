"""Activations, and their derivatives, by formulas that are written out here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from tests.plugins.box import box, make, names
from weft.build import Bound
from weft_basics.activations.step import step

Formula = Callable[[float], float]


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def normal(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def cumulative(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def bent(x: float) -> float:
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


FORMULAS: dict[str, tuple[Formula, Formula]] = {
    "identity": (lambda x: x, lambda x: 1.0),
    "sigmoid": (logistic, lambda x: logistic(x) * logistic(-x)),
    "log_sigmoid": (lambda x: -softplus(-x), lambda x: logistic(-x)),
    "hard_sigmoid": (lambda x: min(1.0, max(0.0, x / 6 + 0.5)), lambda x: 1 / 6 if -3 < x < 3 else 0.0),
    "tanh": (math.tanh, lambda x: 1 / math.cosh(x) ** 2),
    "hard_tanh": (lambda x: min(1.0, max(-1.0, x)), lambda x: float(-1 < x < 1)),
    "tanhshrink": (lambda x: x - math.tanh(x), lambda x: math.tanh(x) ** 2),
    "relu": (lambda x: max(0.0, x), lambda x: float(x > 0)),
    "relu6": (lambda x: min(6.0, max(0.0, x)), lambda x: float(0 < x < 6)),
    "squared_relu": (lambda x: max(0.0, x) ** 2, lambda x: 2 * max(0.0, x)),
    "leaky_relu": (lambda x: x if x > 0 else 0.01 * x, lambda x: 1.0 if x > 0 else 0.01),
    "prelu": (lambda x: x if x > 0 else 0.25 * x, lambda x: 1.0 if x > 0 else 0.25),
    "elu": (lambda x: x if x > 0 else math.expm1(x), lambda x: 1.0 if x > 0 else math.exp(x)),
    "celu": (lambda x: x if x > 0 else math.expm1(x), lambda x: 1.0 if x > 0 else math.exp(x)),
    "selu": (
        lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
        lambda x: 1.0507009873554805 * (1 if x > 0 else 1.6732632423543772 * math.exp(x)),
    ),
    "gelu": (lambda x: x * cumulative(x), lambda x: cumulative(x) + x * normal(x)),
    "silu": (lambda x: x * logistic(x), lambda x: logistic(x) * (1 + x * logistic(-x))),
    "hard_swish": (
        lambda x: x * min(1.0, max(0.0, x / 6 + 0.5)),
        lambda x: x / 3 + 0.5 if -3 < x < 3 else float(x > 0),
    ),
    "mish": (
        lambda x: x * math.tanh(softplus(x)),
        lambda x: math.tanh(softplus(x)) + x * logistic(x) / math.cosh(softplus(x)) ** 2,
    ),
    "softplus": (softplus, logistic),
    "softsign": (lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2),
    "softshrink": (lambda x: math.copysign(max(0.0, abs(x) - 0.5), x), lambda x: float(abs(x) > 0.5)),
    "hardshrink": (lambda x: x if abs(x) > 0.5 else 0.0, lambda x: float(abs(x) > 0.5)),
    "sine": (math.sin, math.cos),
    "step": (lambda x: float(x >= 0), lambda x: logistic(x) * logistic(-x)),
}
"""Value and derivative at a number, by default options. The step's derivative is its surrogate's."""

OTHERWISE: dict[str, tuple[dict[str, Any], Formula, Formula]] = {
    "leaky_relu": ({"negative_slope": 0.3}, lambda x: x if x > 0 else 0.3 * x, lambda x: 1.0 if x > 0 else 0.3),
    "prelu": ({"init": -0.5}, lambda x: x if x > 0 else -0.5 * x, lambda x: 1.0 if x > 0 else -0.5),
    "elu": ({"alpha": 2.0}, lambda x: x if x > 0 else 2 * math.expm1(x), lambda x: 1.0 if x > 0 else 2 * math.exp(x)),
    "celu": ({"alpha": 2.0}, lambda x: x if x > 0 else 2 * math.expm1(x / 2), lambda x: 1.0 if x > 0 else math.exp(x / 2)),
    "gelu": (
        {"approximate": "tanh"},
        lambda x: x * (1 + math.tanh(bent(x))) / 2,
        lambda x: (
            (1 + math.tanh(bent(x))) / 2 + x / 2 / math.cosh(bent(x)) ** 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
        ),
    ),
    "softplus": ({"beta": 0.5}, lambda x: 2 * softplus(x / 2), lambda x: logistic(x / 2)),
    "hard_tanh": ({"min_val": -2.05, "max_val": 0.45}, lambda x: min(0.45, max(-2.05, x)), lambda x: float(-2.05 < x < 0.45)),
    "softshrink": (
        {"lambd": 1.25},
        lambda x: math.copysign(max(0.0, abs(x) - 1.25), x),
        lambda x: float(abs(x) > 1.25),
    ),
    "hardshrink": ({"lambd": 1.25}, lambda x: x if abs(x) > 1.25 else 0.0, lambda x: float(abs(x) > 1.25)),
    "sine": ({"frequency": 3.0}, lambda x: math.sin(3 * x), lambda x: 3 * math.cos(3 * x)),
    "step": ({"steepness": 4.0}, lambda x: float(x >= 0), lambda x: 4 * logistic(4 * x) * logistic(-4 * x)),
}
"""The same by other options."""

CORNERS = {
    "relu": (0,),
    "relu6": (0, 6),
    "leaky_relu": (0,),
    "prelu": (0,),
    "elu": (0,),
    "selu": (0,),
    "hard_tanh": (-1, 1),
    "hard_sigmoid": (-3, 3),
    "hard_swish": (-3, 3),
    "softshrink": (-0.5, 0.5),
    "hardshrink": (-0.5, 0.5),
}
"""Where there is no derivative."""

OVER_CLASSES = ("softmax", "log_softmax")
"""Those that are no functions of one number."""


def made(name: str, **given: Any) -> nn.Module:
    loaded = box()["activation", name]
    if loaded.signature.bound:
        return Bound(loaded.factory, {option.name: option.default for option in loaded.component.options} | given)
    module: nn.Module = make("activation", name, **given)
    return module.double()


def grid(name: str) -> list[float]:
    return [place / 10 for place in range(-60, 61) if place / 10 not in CORNERS.get(name, ())]


def check(activation: nn.Module, points: list[float], value: Formula, derivative: Formula, rel: float = 1e-11) -> None:
    inputs = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    values = activation(inputs)
    assert values.dtype == torch.float64
    assert values.tolist() == pytest.approx([value(point) for point in points], rel=1e-11, abs=1e-14)
    (slopes,) = torch.autograd.grad(values.sum(), inputs)
    assert slopes.tolist() == pytest.approx([derivative(point) for point in points], rel=rel, abs=1e-14)


def test_every_activation_has_its_formula_here() -> None:
    assert {*names("activation")} == {*FORMULAS, *OVER_CLASSES}


@pytest.mark.parametrize("name", FORMULAS)
def test_value_and_derivative(name: str) -> None:
    rel = 1e-7 if name == "hard_sigmoid" else 1e-11  # torch has the slope of 1 / 6 in 32 bits
    check(made(name), grid(name), *FORMULAS[name], rel)


@pytest.mark.parametrize("name", OTHERWISE)
def test_value_and_derivative_by_other_options(name: str) -> None:
    options, value, derivative = OTHERWISE[name]
    check(made(name, **options), grid(name), value, derivative)


def test_softmax_is_over_the_last_dimension() -> None:
    """By its own formula, and by its Jacobian: p[i] (1 - p[i]) on the diagonal, -p[i] p[j] beside it."""
    scores = torch.randn(2, 3, 4, dtype=torch.float64)
    shares = torch.tensor([[[math.exp(x) for x in row] for row in block] for block in scores.tolist()], dtype=torch.float64)
    shares = shares / shares.sum(-1, keepdim=True)
    torch.testing.assert_close(made("softmax")(scores), shares)
    torch.testing.assert_close(made("log_softmax")(scores), shares.log())
    row, share = scores[0, 0], shares[0, 0]
    jacobian = torch.autograd.functional.jacobian(made("softmax"), row)
    torch.testing.assert_close(jacobian, share.diag() - share.outer(share))
    jacobian = torch.autograd.functional.jacobian(made("log_softmax"), row)
    torch.testing.assert_close(jacobian, torch.eye(4, dtype=torch.float64) - share.expand(4, 4))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_large_scores_is_finite(name: str) -> None:
    found = made(name)(torch.tensor([[1e4, 0.0, -1e4]]))
    assert found.isfinite().all()


def test_prelu_learns_its_slope() -> None:
    """Its derivative by the slope is x where x is negative, else 0; each layer has one of its own."""
    activation = made("prelu")
    (slope,) = activation.parameters()
    assert slope.tolist() == [0.25]
    points = torch.tensor(grid("prelu"), dtype=torch.float64)
    (found,) = torch.autograd.grad(activation(points).sum(), slope)
    assert float(found) == pytest.approx(sum(point for point in grid("prelu") if point < 0))
    assert next(made("prelu").parameters()) is not slope


def test_gelu_s_faster_formula_is_as_near_as_its_help_says() -> None:
    points = torch.tensor(grid("gelu"), dtype=torch.float64)
    error = (made("gelu", approximate="tanh")(points) - made("gelu")(points)).abs().max()
    assert 0.0004 < float(error) < 0.0005


@pytest.mark.parametrize("name", [*FORMULAS, *OVER_CLASSES])
def test_the_input_stays(name: str) -> None:
    points = torch.randn(3, 5, dtype=torch.float64)
    before = points.clone()
    made(name)(points)
    assert torch.equal(points, before)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [*FORMULAS, *OVER_CLASSES])
def test_an_activation_can_be_mapped(name: str) -> None:
    activation, points = made(name), torch.randn(4, 3, dtype=torch.float64)
    weights = torch.randn(3, dtype=torch.float64)
    mapped: Tensor = vmap(grad(lambda row: (activation(row) * weights).sum()))(points)
    for row, found in zip(points, mapped, strict=True):
        torch.testing.assert_close(found, grad(lambda row: (activation(row) * weights).sum())(row))


@pytest.mark.parametrize("name", [*FORMULAS, *OVER_CLASSES])
def test_a_summary_is_not_cut_off(name: str) -> None:
    summary = box()["activation", name].component.summary
    assert summary.count("(") == summary.count(")")


def test_step_is_exactly_0_or_1_in_any_precision() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        values = step(torch.randn(1000, dtype=dtype), 3.0)
        assert values.dtype == dtype
        assert {*values.tolist()} == {0.0, 1.0}
