"""The rates that a run's steps are taken at, and schedulers that go on from their state."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import pytorch_optimizer
import torch
from training import scheduler

from weft.errors import ConfigError
from weft_pytorch_optimizer.names import SCHEDULERS

STEPS = 20


def sgd(*rates: float) -> torch.optim.SGD:
    return torch.optim.SGD([{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in rates])


def rates(name: str, steps: int = STEPS, lr: float = 0.5, **options: Any) -> list[float]:
    """Return the rate of each step of a run."""
    optimizer = sgd(lr)
    made = scheduler(name, optimizer, steps, **options)
    found = []
    for _ in range(steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        made.step()
    return found


@pytest.mark.parametrize("name", SCHEDULERS)
def test_it_goes_on_from_its_state(name: str) -> None:
    expected = rates(name)
    optimizer = sgd(0.5)
    first = scheduler(name, optimizer, STEPS)
    for _ in range(7):
        optimizer.step()
        first.step()
    other = sgd(0.5)
    second = scheduler(name, other, STEPS)
    other.load_state_dict(optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    found = []
    for _ in range(7, STEPS):
        found.append(float(other.param_groups[0]["lr"]))
        other.step()
        second.step()
    assert found == expected[7:]


@pytest.mark.parametrize("name", ["linearscheduler", "cosinescheduler", "rex", "cosine_annealing_with_warmup"])
def test_a_run_begins_at_the_optimizer_s_own_rate_and_falls(name: str) -> None:
    options = {"first_cycle_steps": STEPS} if name == "cosine_annealing_with_warmup" else {}
    found = rates(name, **options)
    assert found[0] == 0.5
    assert all(later < earlier for earlier, later in pairwise(found))
    assert found[-1] < 0.1


@pytest.mark.parametrize("name", ["linearscheduler", "cosinescheduler", "poly"])
def test_a_warm_up_is_a_line_from_the_first_rate_to_the_highest(name: str) -> None:
    found = rates(name, warmup_steps=4, init_lr=0.1, max_lr=0.9)
    assert found[:5] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])


def test_linear_is_a_line_cosine_half_a_cosine_and_poly_grows() -> None:
    assert rates("linearscheduler", 4) == pytest.approx([0.5, 0.375, 0.25, 0.125])
    assert rates("cosinescheduler", 4) == pytest.approx([0.25 * (1 + math.cos(math.pi * x / 4)) for x in range(4)])
    assert rates("poly", 5, poly_order=2.0) == pytest.approx([0.5, 0.5, 2.0, 4.5, 8.0])


def test_rex_is_what_its_paper_says() -> None:
    assert rates("rex", 4, min_lr=0.1) == pytest.approx([0.1 + 0.4 * (1 - x) / (1 - x / 2) for x in (0, 0.25, 0.5, 0.75)])


def test_restarts_begin_lower_each_time() -> None:
    found = rates("cosine_annealing_with_warmup", 8, first_cycle_steps=4, gamma=0.5, min_lr=0.0)
    assert found[0] == 0.5
    assert found[4] == 0.25
    assert min(found[1:4]) < 0.25


def test_warmup_stable_decay_rises_stays_and_falls() -> None:
    found = rates("warmup_stable_decay", 10, num_warmup_steps=2, num_decay_steps=4, cooldown_type="linear")
    assert found == pytest.approx([0, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 0.375, 0.25, 0.125])


@pytest.mark.parametrize("steps", [1, 2, 3, 16, 17, 20, 33])
def test_chebyshev_is_the_library_s(steps: int) -> None:
    optimizer = sgd(0.5)
    expected = pytorch_optimizer.get_chebyshev_schedule(optimizer, steps)
    found = rates("chebyshev", steps)
    for rate in found:
        assert rate == optimizer.param_groups[0]["lr"]
        optimizer.step()
        expected.step()


@pytest.mark.parametrize("name", ["linearscheduler", "cosinescheduler", "poly", "rex", "cosine_annealing_with_warmup"])
def test_one_rate_for_all_weights_is_refused_where_they_have_several(name: str) -> None:
    with pytest.raises(ConfigError, match=r"one rate for all weights, and the optimizer has 0\.1, 0\.5; give max_lr"):
        scheduler(name, sgd(0.5, 0.1), STEPS)
    scheduler(name, sgd(0.5, 0.1), STEPS, max_lr=0.5)


@pytest.mark.parametrize("name", ["chebyshev", "warmup_stable_decay"])
def test_others_keep_the_rates_in_proportion(name: str) -> None:
    optimizer = sgd(0.5, 0.1)
    made = scheduler(name, optimizer, STEPS)
    for _ in range(STEPS - 1):
        optimizer.step()
        made.step()
        first, second = (group["lr"] for group in optimizer.param_groups)
        assert first == pytest.approx(5 * second)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("linearscheduler", {"warmup_steps": STEPS}, "warmup_steps=20 are no part of the run, which has 20 steps"),
        ("cosine_annealing_with_warmup", {"warmup_steps": 5}, "warmup_steps=5 are no part of a cycle, which has 5 steps"),
        ("warmup_stable_decay", {"num_warmup_steps": 15, "num_decay_steps": 6}, "more than the run's 20 steps"),
    ],
)
def test_lengths_that_can_t_be_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        scheduler(name, sgd(0.5), STEPS, **options)
