"""The proximal step: soft thresholds, exact zeros, and the optimizers it belongs to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from weft import UserError
from weft_basics.regularizers.proximal import ProximalL1


def attached(model: nn.Module, optimizer: torch.optim.Optimizer, weight: float) -> ProximalL1:
    regularizer = ProximalL1(weight)
    run: Any = SimpleNamespace(model=model, optimizer=optimizer)
    regularizer.check(run)
    return regularizer


def test_weights_shrink_by_rate_times_strength_and_stop_at_zero() -> None:
    model = nn.Linear(4, 1)
    model.weight.data = torch.tensor([[0.5, -0.5, 0.01, -0.02]])
    model.bias.data = torch.tensor([0.3])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    regularizer = attached(model, optimizer, 0.2)
    regularizer.weights(model)
    torch.testing.assert_close(model.weight.data, torch.tensor([[0.48, -0.48, 0.0, 0.0]]))
    assert model.bias.item() == pytest.approx(0.3)
    optimizer.param_groups[0]["lr"] = 1.0  # as a scheduler would
    regularizer.weights(model)
    torch.testing.assert_close(model.weight.data, torch.tensor([[0.28, -0.28, 0.0, 0.0]]))


def test_each_group_has_its_rate_and_frozen_weights_stay() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 1))
    for layer in model:
        nn.init.ones_(layer.weight)  # type: ignore[arg-type]
    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": model[1].parameters()}]
    attached(model, torch.optim.SGD(groups, lr=0.1), 1.0).weights(model)
    assert [round(layer.weight.item(), 6) for layer in model] == [0.5, 0.9, 1.0]  # type: ignore[arg-type]


def test_it_minimises_what_the_penalty_does() -> None:
    """In one dimension the lasso has a formula: the least squares' weight, nearer to zero by half the strength."""
    inputs = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=torch.float64)
    for slope, expected in ((0.7, 0.5), (-0.7, -0.5), (0.15, 0.0)):
        model = nn.Linear(1, 1, bias=False).double()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
        regularizer = attached(model, optimizer, 0.4)
        for _ in range(100):
            optimizer.zero_grad()
            (model(inputs) - slope * inputs).square().mean().backward()
            optimizer.step()
            regularizer.weights(model)
        assert model.weight.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("factory", "options", "named"),
    [
        (torch.optim.Adam, {}, "not to Adam:"),
        (torch.optim.SGD, {"momentum": 0.9}, "not to SGD with momentum or weight decay:"),
        (torch.optim.SGD, {"weight_decay": 0.1}, "not to SGD with momentum or weight decay:"),
    ],
)
def test_other_optimizers_are_refused(factory: Any, options: dict[str, float], named: str) -> None:
    model = nn.Linear(2, 1)
    with pytest.raises(UserError, match=named):
        attached(model, factory(model.parameters(), lr=0.1, **options), 0.1)
