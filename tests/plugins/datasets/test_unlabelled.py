"""Another dataset's samples, without what they are."""

from __future__ import annotations

import pytest
import torch

from weft.catalog import catalog
from weft.compose import configured
from weft.errors import UserError
from weft.experiment import prepare
from weft.state import Run


def prepared(*overrides: str) -> Run:
    wanted, _ = configured(["dataset=unlabelled", *overrides, "observe.gradients=false"])
    return prepare(wanted, catalog())


@pytest.mark.parametrize("task", ["clustering", "density"])
def test_samples_and_splits_are_the_other_one_s(task: str) -> None:
    model = {"clustering": "kmeans", "density": "gaussians"}[task]
    found = prepared("dataset.of=wine", f"dataset.task={task}", f"model={model}", "split_seed=3").data
    wanted, _ = configured(["dataset=wine", "split_seed=3"])
    other = prepare(wanted, catalog()).data
    assert (found.task, found.inputs, found.outputs, found.classes) == (task, other.inputs, 3, other.classes)
    for name, pair in other.splits.items():
        assert all(map(torch.equal, found.splits[name], pair))


def test_it_may_have_options_of_its_own() -> None:
    assert prepared("dataset.of={name: two_moons, samples: 40}", "model=kmeans").data.sizes()["train"] == 28


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("dataset.of=diabetes",), "of: takes samples of numbers with a class each, and here they are those of regression"),
        (("dataset.of=python_packages",), "here they are tokens"),
        (("dataset.of=iriss",), "iris"),
        (("dataset.task=classification",), "clustering"),
        (("model=gaussians", "loss=cross_entropy"), "loss=cross_entropy: serves .* and dataset unlabelled is clustering"),
        (
            ("dataset.of=iris", "model=kmeans", "model.components=200", "optimizer=em"),
            "model.components: 200 are more than the 102 samples to train on",
        ),
        (
            ("model=kmeans", "model.components=200", "callback=begin_at_samples"),
            "model.components: 200 are more than the 102 samples",
        ),
        (
            ("dataset=iris", "model=mlp", "callback=begin_at_samples"),
            "is for gaussians and kmeans, and MLP has no places for it",
        ),
    ],
)
def test_what_can_t_be_is_said_before_anything_is_written(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepared(*overrides)
