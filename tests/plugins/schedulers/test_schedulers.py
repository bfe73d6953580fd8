"""Schedulers: their curves, any optimizer, and going on exactly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.plugins.box import kept, make, names
from weft_basics.optimizers.muon import Muon

STEPS = 40


def sgd(lr: float = 0.1, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(2, 2))], lr=lr, **options)


def curve(name: str, optimizer: torch.optim.Optimizer | None = None, steps: int = STEPS, **options: Any) -> list[float]:
    """Return the rate of every step, and the one after the last."""
    optimizer = optimizer or sgd()
    scheduler = make("scheduler", name, optimizer=optimizer, total_steps=steps, **options)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


EXPECTED = {
    "step": lambda t: 0.1 * 0.1 ** (t // 13),
    "multi_step": lambda t: 0.1 * 0.1 ** ((t >= 20) + (t >= 30)),
    "linear": lambda t: 0.1 * (1 - t / STEPS),
    "exponential": lambda t: 0.1 * 0.01 ** (t / STEPS),
    "polynomial": lambda t: 0.1 * (1 - t / STEPS),
    "cosine": lambda t: 0.05 * (1 + math.cos(math.pi * t / STEPS)),
    "cosine_restarts": lambda t: 0.05 * (1 + math.cos(math.pi * (t % 10) / 10)),
    "constant": lambda t: 0.1 / 3 if t < 5 else 0.1,
    "cyclic": lambda t: 0.01 + 0.09 * (1 - abs(t % 8 - 4) / 4),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_curve_of_the_defaults(name: str) -> None:
    assert curve(name) == pytest.approx([EXPECTED[name](t) for t in range(STEPS + 1)], abs=1e-9)


def test_one_cycle_rises_to_the_optimizer_s_rate_and_falls_to_nothing() -> None:
    rates = curve("one_cycle")
    peak = max(range(len(rates)), key=rates.__getitem__)
    assert rates[0] == pytest.approx(0.1 / 25)
    assert max(rates) == pytest.approx(0.1, rel=0.01)
    assert abs(peak - 0.3 * STEPS) <= 1
    assert rates[-1] == pytest.approx(0.1 / 25 / 1e4)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


@pytest.mark.parametrize(
    "options", [{"anneal_strategy": "linear"}, {"three_phase": True}, {"pct_start": 0.01}, {"pct_start": 0.99}]
)
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 40])
def test_one_cycle_never_leaves_its_bounds(steps: int, options: dict[str, Any]) -> None:
    if options.get("pct_start", 0.3) * (steps + 1) == 1:
        pytest.skip("a rise of one step")
    rates = curve("one_cycle", steps=steps, **options)
    assert all(0 < rate <= 0.1 + 1e-9 for rate in rates)


@pytest.mark.parametrize("name", names("scheduler"))
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_short_runs(name: str, steps: int) -> None:
    assert all(0 <= rate <= 0.1 + 1e-9 for rate in curve(name, steps=steps))


@pytest.mark.parametrize("name", names("scheduler"))
@pytest.mark.parametrize("optimizer", sorted({*names("optimizer")} - {"em"}))  # which isn't for any model
def test_any_optimizer(name: str, optimizer: str) -> None:
    made = make("optimizer", optimizer, params=[nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))], lr=0.1)

    def evaluate() -> torch.Tensor:
        made.zero_grad()
        loss = torch.stack([p.square().sum() for group in made.param_groups for p in group["params"]]).sum()
        loss.backward()
        return loss

    scheduler = make("scheduler", name, optimizer=made, total_steps=6)
    for _ in range(6):
        made.step(evaluate)
        scheduler.step()
    assert all(0 <= group["lr"] <= 0.1 + 1e-9 for group in made.param_groups)


def groups() -> torch.optim.Optimizer:
    parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))]
    return torch.optim.SGD([{"params": parameters[:1], "lr": 0.2}, {"params": parameters[1:]}], lr=0.1, momentum=0.9)


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in names("scheduler")},
    "exp_range": ("cyclic", {"mode": "exp_range", "gamma": 0.97}),
    "triangular2": ("cyclic", {"mode": "triangular2", "step_size_down": 2}),
    "growing_restarts": ("cosine_restarts", {"T_0": 3, "T_mult": 2}),
    "three_phase": ("one_cycle", {"three_phase": True}),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("stop", [1, 11, 23])
def test_it_goes_on_bit_for_bit_from_a_checkpoint(variant: str, stop: int, tmp_path: Path) -> None:
    name, options = VARIANTS[variant]

    def run(optimizer: torch.optim.Optimizer, scheduler: Any, steps: int) -> list[Any]:
        seen = []
        for _ in range(steps):
            optimizer.step()
            scheduler.step()
            seen.append([(group["lr"], group["momentum"]) for group in optimizer.param_groups])
        return seen

    optimizer = groups()
    scheduler = make("scheduler", name, optimizer=optimizer, total_steps=STEPS, **options)
    run(optimizer, scheduler, stop)
    state = kept({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, tmp_path)
    resumed = groups()
    twin = make("scheduler", name, optimizer=resumed, total_steps=STEPS, **options)
    resumed.load_state_dict(state["optimizer"])
    twin.load_state_dict(state["scheduler"])
    assert run(optimizer, scheduler, STEPS - stop) == run(resumed, twin, STEPS - stop)


@pytest.mark.parametrize("name", ["cyclic", "one_cycle"])
class TestMomentum:
    def test_it_moves_against_the_rate(self, name: str) -> None:
        optimizer = sgd(momentum=0.5)
        scheduler = make("scheduler", name, optimizer=optimizer, total_steps=STEPS)
        seen = []
        for _ in range(STEPS):
            seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
            optimizer.step()
            scheduler.step()
        assert min(seen)[1] > max(seen)[1] >= 0.8

    @pytest.mark.parametrize("momentum", [0.0, 0.5])
    def test_it_stays_where_it_is_zero_or_not_to_be_cycled(self, name: str, momentum: float) -> None:
        optimizer = sgd(momentum=momentum)
        curve(name, optimizer, cycle_momentum=momentum == 0)
        assert optimizer.param_groups[0]["momentum"] == momentum

    def test_first_beta_of_adam(self, name: str) -> None:
        optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(2))], lr=0.1)
        make("scheduler", name, optimizer=optimizer, total_steps=STEPS, max_momentum=0.77)
        assert optimizer.param_groups[0]["betas"] == (0.77, 0.999)

    def test_muon_keeps_its_own(self, name: str) -> None:
        optimizer = Muon([nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))])
        curve(name, optimizer)
        assert (optimizer.param_groups[0]["momentum"], optimizer.param_groups[1]["betas"]) == (0.95, (0.9, 0.999))

    def test_each_group_has_its_own_peak(self, name: str) -> None:
        optimizer = groups()
        scheduler = make("scheduler", name, optimizer=optimizer, total_steps=STEPS)
        highest = [0.0, 0.0]
        for _ in range(STEPS):
            highest = [max(a, group["lr"]) for a, group in zip(highest, optimizer.param_groups, strict=True)]
            optimizer.step()
            scheduler.step()
        assert highest == pytest.approx([0.2, 0.1], rel=0.01)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cyclic", {"base_lr": 0.5}, r"base_lr=0.5 is above max_lr=0.1"),
        ("one_cycle", {"pct_start": 0.25, "total_steps": 3}, "pct_start=0.25 of 3 steps is a rise of one step"),
        ("one_cycle", {"three_phase": True, "pct_start": 0.6}, "with three_phase, .* at most 0.5"),
    ],
)
def test_curves_that_can_t_be_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("scheduler", name, **{"optimizer": sgd(), "total_steps": STEPS, **options})


def test_lengths_can_be_given_in_steps() -> None:
    assert curve("step", step_size=30)[29:31] == pytest.approx([0.1, 0.01])
    assert curve("multi_step", milestones=[2, 4], gamma=0.5)[:6] == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025])
    assert curve("exponential", gamma=0.5)[:3] == pytest.approx([0.1, 0.05, 0.025])
    assert curve("linear", start_factor=0.5, end_factor=1.0)[::20] == pytest.approx([0.05, 0.075, 0.1])
