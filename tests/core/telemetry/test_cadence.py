"""A bounded number of histograms, a bounded share of the time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.telemetry.cadence import Budget, HostTimer, Thinning


@given(st.integers(1, 70), st.lists(st.integers(1, 40), min_size=1, max_size=3000))
def test_histograms_are_even_and_bounded_however_long_a_run_is(distance: int, gaps: list[int]) -> None:
    thinning, step, taken = Thinning(distance), 0, set()
    for gap in gaps:
        step += gap
        if thinning.take(step):
            taken.add(step)
    assert len(thinning.steps) <= 128
    assert set(thinning.steps) <= taken  # what is kept was gathered
    stretches = [kept // thinning.distance for kept in thinning.steps]
    assert len(set(stretches)) == len(stretches)
    assert thinning.distance % distance == 0


def test_a_long_run_has_64_to_128_of_them() -> None:
    thinning = Thinning(50)
    for step in range(50, 1_000_001, 50):
        thinning.take(step)
    assert 64 <= len(thinning.steps) <= 128
    assert {second - first for first, second in zip(thinning.steps[1:], thinning.steps[2:], strict=False)} == {12_800}


@given(st.integers(1, 50), st.integers(1, 3000), st.integers(0, 3000))
def test_thinning_goes_on_where_it_was(distance: int, steps: int, cut: int) -> None:
    whole, first = Thinning(distance), Thinning(distance)
    for step in range(1, steps + 1):
        whole.take(step)
        if step <= cut:
            first.take(step)
    second = Thinning(first.distance, first.steps)
    for step in range(min(cut, steps) + 1, steps + 1):
        second.take(step)
    assert (second.distance, second.steps) == (whole.distance, whole.steps)


def told(budget: Budget, spent: float, training: float, looks: int, times: int) -> list[bool]:
    return [budget.settle(spent, training, looks) for _ in range(times)]


def test_looking_that_is_cheap_is_left_alone() -> None:
    budget = Budget(0.01)
    assert not any(told(budget, 0.0049, 0.5, 10, 100))
    assert budget.factor == 1


def test_looking_that_costs_too_much_is_done_less_often() -> None:
    budget = Budget(0.01)
    assert not budget.settle(9.0, 1.0, 1)  # what is done once is not judged
    assert told(budget, 0.05, 0.5, 100, 6) == [False] * 5 + [True]
    assert budget.factor == 16  # 0.05 / 0.45 is eleven times the share
    assert not any(told(budget, 0.05 / 16, 0.5, 6, 100))


def test_looking_that_has_become_cheap_is_done_as_often_as_before() -> None:
    budget = Budget(0.01)
    told(budget, 0.01, 0.5, 100, 7)
    assert budget.factor == 4
    assert told(budget, 0.0016, 0.5, 100, 6) == [False] * 5 + [True]
    assert budget.factor == 2
    told(budget, 0.0016, 0.5, 100, 12)
    assert budget.factor == 1
    assert not any(told(budget, 0.0016, 0.5, 100, 12))


def test_a_short_run_and_few_looks_are_not_judged() -> None:
    budget = Budget(0.01)
    assert not any(told(budget, 0.4, 0.5, 100, 6))
    few = Budget(0.01)
    assert not any(told(few, 0.4, 0.5, 1, 16))


def test_no_budget_is_never_exceeded() -> None:
    budget = Budget(math.inf)
    assert not any(told(budget, 0.5, 0.5, 100, 100))


def test_time_is_counted_inside_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([1.0, 1.5, 7.0, 7.25])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    timer = HostTimer()
    for _ in range(2):
        with timer:
            pass
    assert timer.take() == 0.75
    assert timer.take() == 0.0


@pytest.mark.gpu
def test_the_time_of_a_gpu_is_counted() -> None:
    import torch

    from weft.telemetry.cadence import timer

    clock = timer(torch.device("cuda"))
    matrix = torch.ones(4096, 4096, device="cuda")
    torch.cuda.synchronize()
    with clock:
        for _ in range(20):
            matrix = matrix @ matrix
    torch.cuda.synchronize()
    assert clock.take() > 20 * 2 * 4096**3 / 1e15
    assert clock.take() == 0.0
