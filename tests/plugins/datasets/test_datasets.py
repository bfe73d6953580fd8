"""The datasets in the box: their shapes, ranges and promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn import datasets as sklearn_datasets

from tests.plugins.box import make, names
from weft_basics.tasks import Classification, Regression

SPLITS = ("train", "valid", "test")
SHAPES = {
    "digits": ((1, 8, 8), 10, 1797),
    "iris": ((4,), 3, 150),
    "wine": ((13,), 3, 178),
    "breast_cancer": ((30,), 2, 569),
    "diabetes": ((10,), 1, 442),
    "two_moons": ((2,), 2, 1000),
    "separable": ((2,), 2, 500),
    "xor": ((2,), 2, 400),
    "friedman": ((10,), 1, 1000),
    "tones": ((1, 32, 31), 7, 1000),
}
ELSEWHERE = {
    *("csv", "text", "text_folder"),
    *("image_folder", "idx", "sound_folder"),
    *("python_topics", "python_tokens", "python_packages"),
    *("unlabelled", "episodes", "replay"),
}


def whole(dataset: Any, place: int) -> torch.Tensor:
    return torch.cat([getattr(dataset, split)[place] for split in SPLITS])


def test_all_are_here_or_have_tests_of_their_own() -> None:
    assert {*names("dataset")} == {*SHAPES, *ELSEWHERE}


@pytest.mark.parametrize("name", SHAPES)
def test_shape_types_and_task(name: str) -> None:
    inputs, outputs, samples = SHAPES[name]
    dataset = make("dataset", name, split_seed=0)
    assert (dataset.inputs, dataset.outputs, dataset.vocabulary) == (inputs, outputs, None)
    assert whole(dataset, 0).shape == (samples, *inputs)
    assert whole(dataset, 0).dtype == torch.float32
    task = {"classification": Classification, "regression": Regression}[dataset.task]()
    for split in SPLITS:
        task.check(outputs, getattr(dataset, split)[1])
    assert dataset.source
    assert len(dataset.classes) == (outputs if dataset.task == "classification" else 0)
    assert len(dataset.valid[1]) == pytest.approx(0.15 * samples, abs=outputs)
    assert len(dataset.test[1]) == pytest.approx(0.15 * samples, abs=outputs)


@pytest.mark.parametrize("name", SHAPES)
def test_the_same_seed_gives_the_same_splits_and_another_others(name: str) -> None:
    first = make("dataset", name, split_seed=3)
    torch.manual_seed(99)
    np.random.seed(99)
    again, other = make("dataset", name, split_seed=3), make("dataset", name, split_seed=4)
    for split in SPLITS:
        for place in (0, 1):
            assert torch.equal(getattr(first, split)[place], getattr(again, split)[place])
    assert not torch.equal(first.test[0], other.test[0])


@pytest.mark.parametrize("name", [name for name in SHAPES if SHAPES[name][1] > 1])
def test_every_class_is_in_every_split(name: str) -> None:
    dataset = make("dataset", name, split_seed=1)
    for split in SPLITS:
        assert len(getattr(dataset, split)[1].unique()) == dataset.outputs


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes", "friedman"])
def test_tables_have_mean_zero_and_deviation_one_in_training(name: str) -> None:
    inputs = make("dataset", name, split_seed=0).train[0].double()
    assert inputs.mean(0).abs().max() < 1e-5
    assert (inputs.std(0, correction=0) - 1).abs().max() < 1e-5


def test_digits_are_sklearn_s_from_zero_to_one() -> None:
    images = whole(make("dataset", "digits", split_seed=0), 0)
    assert (float(images.min()), float(images.max())) == (0, 1)
    theirs = sklearn_datasets.load_digits()
    assert float(images.double().sum()) == pytest.approx(theirs.images.sum() / 16)
    labels = whole(make("dataset", "digits", split_seed=0), 1)
    assert torch.bincount(labels).tolist() == np.bincount(theirs.target).tolist()


@pytest.mark.parametrize("name", ["two_moons", "friedman"])
def test_points_have_a_seed_of_their_own(name: str) -> None:
    def points(**given: Any) -> set[tuple[float, ...]]:
        dataset = make("dataset", name, **{"split_seed": 0, "samples": 50, **given})
        numbers = whole(dataset, 1) if name == "friedman" else whole(dataset, 0)
        scale = getattr(dataset, "target_scale", 1.0)
        return {tuple(round(number, 3) for number in row) for row in (numbers * scale + dataset.target_mean).tolist()}

    assert points() == points(split_seed=5)
    assert points() != points(seed=1)
    assert points() != points(noise=2.0)


def test_shares_are_options_and_must_leave_something() -> None:
    dataset = make("dataset", "iris", split_seed=0, valid=0.2, test=0.4)
    assert [len(getattr(dataset, split)[1]) for split in SPLITS] == [60, 30, 60]
    with pytest.raises(ValueError, match=r"valid=0.6 and test=0.4 leave nothing"):
        make("dataset", "iris", split_seed=0, valid=0.6, test=0.4)
