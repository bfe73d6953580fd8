"""Scores over seeds, held against numbers that come about in another way."""

from __future__ import annotations

import math
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from weft.sweep.statistics import Seeds, against_first, by_seeds, estimate, grouped, holm, seeds


def setting(*scores: float, first: int = 0) -> dict[Seeds, float]:
    """Return scores of seeds from `first` on."""
    return {(str(seed), ""): float(score) for seed, score in enumerate(scores, first)}


def test_jobs_that_differ_in_their_seeds_only_are_one_setting() -> None:
    jobs = [{"model": model, "seed": seed, "split_seed": split} for model, seed, split in product("ab", "01", "01")]
    jobs += [{"model": "a"}]
    assert grouped(jobs) == [[0, 1, 2, 3, 8], [4, 5, 6, 7]]
    assert len({seeds(job) for job in jobs}) == 5


def test_jobs_of_the_same_seeds_are_one_repetition() -> None:
    one, other = ("0", ""), ("0", "1")
    scores = [(one, 1.0), (one, 2.0), (other, None), (other, math.nan), (other, math.inf), (other, 5.0)]
    assert by_seeds(scores) == {one: 1.5, other: 5.0}
    assert by_seeds([(one, None), (other, math.nan)]) == {}


def test_an_estimate_is_student_s() -> None:
    found = estimate([1, 2, 3, 4, 5])
    assert (found.n, found.mean) == (5, 3)
    assert found.deviation == pytest.approx(math.sqrt(2.5))
    half = 2.776445 * math.sqrt(2.5) / math.sqrt(5)  # 2.776445: the 97.5 % point of t with 4 degrees of freedom, from a table
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), rel=1e-6)


@pytest.mark.parametrize(("scores", "mean"), [([], math.nan), ([7.0], 7.0)])
def test_one_score_has_no_interval(scores: list[float], mean: float) -> None:
    found = estimate(scores)
    assert found.mean == mean or (math.isnan(found.mean) and math.isnan(mean))
    assert all(map(math.isnan, (found.deviation, found.low, found.high)))


def test_a_paired_p_is_that_of_the_closed_form() -> None:
    """With two degrees of freedom p is 1 - t / sqrt(t² + 2); the differences 1, 2, 3 have t = 2 sqrt(3)."""
    _, found = against_first([setting(11, 22, 33), setting(10, 20, 30)])
    assert found is not None
    assert (found.test, found.n) == ("paired", 3)
    assert found.p == pytest.approx(1 - math.sqrt(12 / 14))
    assert found.corrected == found.p


def test_a_paired_p_is_near_that_of_all_changes_of_sign() -> None:
    generator = np.random.default_rng(3)
    base = generator.normal(size=10)
    one, other = base + 0.4, base + generator.normal(scale=0.5, size=10)
    flipped = np.array([*product((-1, 1), repeat=10)]) @ (one - other) / 10
    exact = np.mean(np.abs(flipped) >= abs(np.mean(one - other)) - 1e-12)
    _, found = against_first([setting(*one), setting(*other)])
    assert found is not None
    assert 0.001 < exact < 0.1
    assert found.p == pytest.approx(exact, abs=0.01)


def test_settings_without_common_seeds_are_compared_by_welch_s_test() -> None:
    one, other = [3.0, 4.0, 5.5], [1.0, 1.5, 1.0, 2.0, 1.0]
    _, found = against_first([setting(*one), setting(*other, first=3)])
    assert found is not None
    assert (found.test, found.n) == ("Welch", 3)
    assert found.p == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue)


@pytest.mark.parametrize(("first", "test"), [(0, "paired"), (1, "paired"), (2, "Welch"), (3, "Welch")])
def test_two_common_seeds_make_pairs(first: int, test: str) -> None:
    _, found = against_first([setting(3, 4, 6), setting(1, 1.5, 1, first=first)])
    assert found is not None
    assert found.test == test


def test_one_score_is_not_tested() -> None:
    assert against_first([setting(3, 4), setting(1)]) == [None, None]
    assert against_first([setting(3), setting(1, 2)]) == [None, None]
    assert against_first([setting(3, 4)]) == [None]
    assert against_first([]) == []


@pytest.mark.parametrize("first", [0, 9])
def test_scores_that_no_seed_changes_are_equal_or_not(first: int) -> None:
    """Paired or not; and rounding makes no difference."""
    same, near, other = setting(0.3, 0.3, 0.3), setting(*[0.1 + 0.2] * 3, first=first), setting(0.2, 0.2, 0.2, first=first)
    _, equal, less = against_first([same, near, other])
    assert equal is not None
    assert less is not None
    assert (equal.p, equal.is_told_apart) == (1, False)
    assert (less.p, less.is_told_apart) == (0, True)


def test_one_constant_setting_is_tested_without_a_warning() -> None:
    _, found = against_first([setting(0.5, 0.5, 0.5), setting(0.1, 0.2, 0.4, first=5)])
    assert found is not None
    assert found.p == pytest.approx(float(stats.ttest_1samp([0.1, 0.2, 0.4], 0.5).pvalue))


def test_holm_s_steps() -> None:
    """4 × 0.005, 3 × 0.01, 2 × 0.03, and no later one below an earlier."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_untested_settings_don_t_count_as_comparisons() -> None:
    _, alone = against_first([setting(3, 4, 6), setting(1, 1.5, 1)])
    _, among, none = against_first([setting(3, 4, 6), setting(1, 1.5, 1), setting(0)])
    assert none is None
    assert among == alone


@pytest.mark.parametrize("equals", [2, 5, 10])
def test_the_best_in_truth_is_seldom_told_apart_from_the_first(equals: int) -> None:
    """What the correction promises, in draws of ten settings, some of which are equally good."""
    generator = np.random.default_rng(equals)
    means = np.where(np.arange(10) < equals, 0, -30)[:, None]
    lost, draws = 0, 200
    for _ in range(draws):
        drawn = [(index, setting(*scores)) for index, scores in enumerate(means + generator.normal(size=(10, 4)))]
        drawn.sort(key=lambda item: -sum(item[1].values()))
        held = against_first([scores for _, scores in drawn])
        lost += any(
            index == 0 and test is not None and test.is_told_apart for (index, _), test in zip(drawn, held, strict=True)
        )
    assert lost / draws <= 0.05


scores = st.lists(st.lists(st.integers(-1000, 1000), min_size=2, max_size=5), min_size=2, max_size=5)


@settings(deadline=None)
@given(scores, st.integers(1, 100), st.integers(-1000, 1000), st.randoms(use_true_random=False))
def test_units_and_order_change_nothing(drawn: list[list[int]], factor: int, shift: int, random: Random) -> None:
    plain = against_first([setting(*values) for values in drawn])
    changed = against_first([setting(*(factor * value + shift for value in values)) for values in drawn])
    mirrored = against_first([setting(*(-value for value in values)) for values in drawn])
    shuffled = []
    for values in drawn:
        items = [*setting(*values).items()]
        random.shuffle(items)
        shuffled.append(dict(items))
    for found in (changed, mirrored, against_first(shuffled)):
        assert [test and test.test for test in found] == [test and test.test for test in plain]
        assert [test.corrected for test in found if test] == pytest.approx([test.corrected for test in plain if test], rel=1e-6)


@settings(deadline=None)
@given(scores)
def test_a_correction_never_lowers_a_p(drawn: list[list[int]]) -> None:
    held = [test for test in against_first([setting(*values) for values in drawn]) if test is not None]
    assert all(test.p <= test.corrected <= 1 for test in held)


@settings(deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=8))
def test_an_interval_is_around_its_mean(values: list[int]) -> None:
    found = estimate(map(float, values))
    assert found.low <= found.mean <= found.high
    assert estimate(float(value) for value in reversed(values)) == found
