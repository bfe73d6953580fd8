"""Splits: nothing twice, nothing lost, every class everywhere, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from weft_basics.datasets.dataset import classification, regression
from weft_basics.datasets.split import completed, grouped, shuffled, stratified

shares = st.floats(0.01, 0.4)


@given(st.integers(10, 300), shares, shares, st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_shuffled_is_a_partition(samples: int, valid: float, test: float, seed: int) -> None:
    parts = shuffled(samples, valid, test, seed)
    assert sorted(np.concatenate(parts)) == list(range(samples))
    assert all(len(part) for part in parts)
    assert len(parts[1]) == pytest.approx(samples * valid, abs=1)
    assert len(parts[2]) == pytest.approx(samples * test, abs=1)


@given(st.lists(st.integers(10, 80), min_size=2, max_size=6), shares, shares, st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_stratified_is_a_partition_with_every_class_by_its_share(
    counts: list[int], valid: float, test: float, seed: int
) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    parts = stratified(labels, [str(label) for label in range(len(counts))], valid, test, seed)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for label, members in enumerate(counts):
        train, validated, tested = (int((labels[part] == label).sum()) for part in parts)
        assert train >= 1
        assert validated == pytest.approx(members * valid, abs=1)
        assert tested == pytest.approx(members * test, abs=1)


@given(st.lists(st.integers(1, 40), min_size=3, max_size=30), shares, shares, st.integers(0, 2**31))
@settings(max_examples=100, deadline=None)
def test_grouped_is_a_partition_of_whole_groups(sizes: list[int], valid: float, test: float, seed: int) -> None:
    groups = np.random.default_rng(seed).permutation(np.repeat([f"g{place}" for place in range(len(sizes))], sizes))
    parts = grouped(groups.tolist(), valid, test, seed)
    assert sorted(np.concatenate(parts)) == list(range(len(groups)))
    assert all((np.diff(part) > 0).all() for part in parts)
    owned = [set(groups[part]) for part in parts]
    assert all(owned)
    assert sum(map(len, owned)) == len(sizes)
    if len(owned[0]) > 1:  # else what train needed may have cost the others
        for part, share in zip(parts[1:], (valid, test), strict=True):
            lacking = share * len(groups) - len(part)
            for more in (int((groups == name).sum()) for name in owned[0]):
                assert abs(lacking - more) >= abs(lacking), "a group in train would have met the share better here"


@pytest.mark.parametrize("seed", range(6))
def test_a_large_group_trains(seed: int) -> None:
    train, valid, test = grouped(["a"] * 900 + ["b"] * 50 + ["c"] * 50, 0.15, 0.15, seed)
    assert (len(train), len(valid), len(test)) == (900, 50, 50)
    train, valid, test = grouped(["all"] * 500 + [f"g{i // 10}" for i in range(500)], 0.15, 0.15, seed)
    assert (len(train), len(valid), len(test)) == (700, 150, 150)


@pytest.mark.parametrize("groups", [["a"] * 9, ["a", "b"] * 9])
def test_three_groups_are_needed(groups: list[str]) -> None:
    with pytest.raises(ValueError, match=rf"three groups or more, and there are {len(set(groups))}: a"):
        grouped(groups, 0.2, 0.2, 0)


def test_a_class_that_only_other_splits_have_is_named() -> None:
    labels = np.array([0, 1, 2] * 5)
    with pytest.raises(ValueError, match="no group that is left for training has .*: take another split_seed, or more groups"):
        classification(np.zeros((15, 1)), labels, ["rose", "aster", "daisy"], groups=["x", "y", "z"] * 5, **ARGUMENTS)  # type: ignore[arg-type]


@given(
    st.lists(st.integers(20, 60), min_size=2, max_size=4),
    st.lists(st.sampled_from(["train", "valid", "test"]), min_size=1, max_size=20),
    shares,
    shares,
    st.integers(0, 2**31),
)
@settings(max_examples=100, deadline=None)
def test_splits_that_are_given_stay_and_the_others_are_taken_from_train(
    counts: list[int], outside: list[str], valid: float, test: float, seed: int
) -> None:
    labels = np.concatenate([np.repeat(np.arange(len(counts)), counts), np.zeros(len(outside), int)])
    places = np.array(["train"] * sum(counts) + outside)
    parts = completed(labels, [str(label) for label in range(len(counts))], places.tolist(), valid, test, seed)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for split, share, part in zip(("valid", "test"), (valid, test), parts[1:], strict=True):
        if split in outside:
            assert part.tolist() == np.flatnonzero(places == split).tolist()
        else:
            for label in range(len(counts)):
                offered = int((labels[places == "train"] == label).sum())
                assert int((labels[part] == label).sum()) == pytest.approx(max(1, offered * share), abs=1)


def test_a_class_with_too_few_samples_for_what_is_missing_is_named() -> None:
    places = ["train"] * 21 + ["test"] * 9
    with pytest.raises(ValueError, match=r"too few samples to be in train and valid=0.2 alike: rose \(1\)"):
        completed(np.array([0] * 20 + [1] * 10), ["daisy", "rose"], places, 0.2, 0.2, 0)


def test_the_seed_alone_decides() -> None:
    labels = np.arange(200) % 4
    groups = [str(place % 17) for place in range(200)]

    def drawn(seed: int) -> list[list[int]]:
        torch.manual_seed(torch.seed())
        np.random.seed(None)
        state = torch.get_rng_state()
        splits = (stratified(labels, "abcd", 0.2, 0.2, seed), shuffled(200, 0.2, 0.2, seed), grouped(groups, 0.2, 0.2, seed))
        found = [part.tolist() for parts in splits for part in parts]
        assert torch.equal(state, torch.get_rng_state()), "it drew from torch's own generator"
        return found

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_a_class_with_too_few_samples_is_named() -> None:
    labels = np.array([0] * 20 + [1] * 2 + [2])
    with pytest.raises(ValueError, match=r"too few samples .*: rose \(2\), tulip \(1\)"):
        stratified(labels, ["daisy", "rose", "tulip"], 0.2, 0.2, 0)


@pytest.mark.parametrize(("valid", "test"), [(0.5, 0.5), (0.9, 0.3)])
def test_shares_that_leave_nothing_are_refused(valid: float, test: float) -> None:
    for split in (
        lambda: shuffled(50, valid, test, 0),
        lambda: stratified(np.zeros(50, int), ["a"], valid, test, 0),
        lambda: grouped([str(place % 5) for place in range(50)], valid, test, 0),
    ):
        with pytest.raises(ValueError, match="leave nothing for training: together they must be below 1"):
            split()


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="2 samples are too few"):
        shuffled(2, 0.2, 0.2, 0)


ARGUMENTS = {"valid": 0.2, "test": 0.2, "split_seed": 3, "source": "here"}


def test_statistics_are_the_training_samples_alone() -> None:
    draw = np.random.default_rng(0)
    inputs = draw.normal(5, 3, (100, 4))
    plain = classification(inputs, np.arange(100) % 2, ["a", "b"], **ARGUMENTS)  # type: ignore[arg-type]
    scaled = classification(inputs, np.arange(100) % 2, ["a", "b"], standardize=True, **ARGUMENTS)  # type: ignore[arg-type]
    train = plain.train[0].double()
    mean, deviation = train.mean(0), train.std(0, correction=0)
    for split in ("train", "valid", "test"):
        expected = (getattr(plain, split)[0].double() - mean) / deviation
        torch.testing.assert_close(getattr(scaled, split)[0].double(), expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(getattr(scaled, split)[1], getattr(plain, split)[1])
    assert float(scaled.valid[0].mean(0).abs().max()) > 1e-3


def test_statistics_can_be_shared_along_axes() -> None:
    inputs = np.random.default_rng(0).normal(5, 3, (100, 1, 4, 6)) * np.arange(1, 5)[:, None]
    made = [
        classification(inputs, np.arange(100) % 2, ["a", "b"], standardize=scaled, alike=(3,), **ARGUMENTS)  # type: ignore[arg-type]
        for scaled in (False, True)
    ]
    plain, scaled = (dataset.train[0].double() for dataset in made)
    for band in range(4):
        numbers = plain[:, 0, band]
        expected = (numbers - numbers.mean()) / numbers.std(correction=0)
        torch.testing.assert_close(scaled[:, 0, band], expected, rtol=1e-5, atol=1e-5)


def test_groups_of_a_regression_stay_together() -> None:
    groups = [str(place // 10) for place in range(100)]
    made = regression(np.zeros((100, 1)), np.arange(100.0), standardize_targets=False, groups=groups, **ARGUMENTS)  # type: ignore[arg-type]
    owned = [{int(target) // 10 for target in pair[1].flatten().tolist()} for pair in (made.train, made.valid, made.test)]
    assert sorted(group for several in owned for group in several) == list(range(10))
    assert [len(several) for several in owned] == [6, 2, 2]


def test_inputs_stay_beside_their_targets() -> None:
    inputs = np.arange(60.0)[:, None]
    labelled = classification(inputs, np.arange(60) % 3, ["a", "b", "c"], **ARGUMENTS)  # type: ignore[arg-type]
    numbered = regression(inputs, 10 * inputs[:, 0], standardize_targets=False, **ARGUMENTS)  # type: ignore[arg-type]
    for split in ("train", "valid", "test"):
        numbers, labels = getattr(labelled, split)
        assert torch.equal(numbers[:, 0].long() % 3, labels)
        numbers, targets = getattr(numbered, split)
        assert torch.equal(10 * numbers, targets)


def test_a_constant_column_becomes_zero_and_constant_targets_too() -> None:
    inputs = np.stack([np.full(50, 0.1), np.arange(50.0)], 1)
    made = regression(inputs, np.full(50, 0.3), standardize=True, **ARGUMENTS)  # type: ignore[arg-type]
    assert float(made.train[0][:, 0].abs().max()) < 1e-6
    assert float(made.train[1].abs().max()) < 1e-6
    assert all(bool(torch.isfinite(tensor).all()) for pair in (made.train, made.valid, made.test) for tensor in pair)


def test_regression_s_targets_lead_back_to_their_unit() -> None:
    targets = np.random.default_rng(1).normal(50, 7, 90)
    made = regression(np.zeros((90, 1)), targets, **ARGUMENTS)  # type: ignore[arg-type]
    found = torch.cat([pair[1] for pair in (made.train, made.valid, made.test)]) * made.target_scale + made.target_mean
    assert sorted(found.flatten().tolist()) == pytest.approx(sorted(targets), rel=1e-5)
    assert float(made.train[1].mean()) == pytest.approx(0, abs=1e-6)
    assert float(made.train[1].std(correction=0)) == pytest.approx(1, rel=1e-5)
