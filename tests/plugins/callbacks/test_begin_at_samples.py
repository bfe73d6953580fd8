"""Where groups begin: at samples, far from each other, by the seed alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from weft.catalog import catalog
from weft.compose import configured
from weft.experiment import prepare
from weft.state import Run


def begun(*overrides: str, few: int | None = None, step: int = 0) -> tuple[Run, Any]:
    """Return a run that has begun, and its model's places."""
    wanted, _ = configured(
        ["dataset=unlabelled", "model=kmeans", "callback=begin_at_samples", "observe.gradients=false", *overrides]
    )
    run = prepare(wanted, catalog())
    run.data.splits = {name: (inputs[:few], targets[:few]) for name, (inputs, targets) in run.data.splits.items()}
    run.step = step
    run.notify("on_fit_start")
    return run, run.model.state_dict()["means" if "means" in run.model.state_dict() else "centroids"]


@pytest.mark.parametrize("model", [("model=kmeans",), ("model=gaussians", "loss=mixture_nll")])
@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_places_are_samples_each_another(model: tuple[str, ...], precision: str) -> None:
    run, places = begun(*model, f"precision={precision}", "model.components=5")
    inputs, _ = run.data.splits["train"]
    where = [torch.nonzero((inputs == place).all(1)).flatten()[0].item() for place in places]
    assert len(set(where)) == 5


def test_another_seed_begins_elsewhere_and_the_same_one_there() -> None:
    first, same, other = (begun(f"seed={seed}")[1] for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_fewer_samples_than_places_as_a_sweep_tries_a_run_with_are_begun_at_as_far_as_they_go() -> None:
    run, places = begun("dataset.of=digits", few=2)
    inputs, _ = run.data.splits["train"]
    assert sorted(places[:2].sum(1).tolist()) == pytest.approx(sorted(inputs.flatten(1).sum(1).tolist()))
    assert places[2:].isfinite().all()


def test_a_run_that_goes_on_stays_where_it_is() -> None:
    run, places = begun(step=7)
    inputs, _ = run.data.splits["train"]
    assert not any((inputs == place).all(1).any() for place in places)
