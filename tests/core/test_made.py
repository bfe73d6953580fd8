"""Data that a run makes itself: how much of it an epoch has, its state, what is done with it elsewhere."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import weft
from tests.core.conftest import MakeRun
from tests.core.conftest import make_run as make_run
from tests.core.conftest import toys as toys
from tests.core.toys import Blobs
from weft import checkpoint, loop
from weft.errors import ConfigError, NonFiniteError, PluginError
from weft.execution import execute
from weft.folder import Folder
from weft.telemetry.diagnosis import diagnose
from weft.telemetry.tracker import MemoryTracker, Status


class Stream(Blobs):
    """Blobs that are drawn as they are asked for: the n-th batch is of n."""

    def __init__(self, split_seed: int, bad: int = -1):
        super().__init__(split_seed)
        self.bad = bad
        self.given = 0
        self.asked: list[tuple[str, int, bool]] = []

    def check(self, run: Any) -> None:
        if run.configuration.settings.batch_size == 13:
            raise ConfigError("dataset=stream: not by 13")

    def batches(self, run: Any, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        inputs, targets = self.valid
        while split == "train":
            self.asked.append((split, run.step, run.model.training))
            self.given += 1
            batch = inputs + 0.01 * self.given + torch.rand(())
            if run.step == self.bad:
                batch[7, 0] = math.nan
            yield batch, targets
        if split != "train":
            self.asked.append((split, getattr(run, "step", -1), run.model.training))
            yield from zip(inputs.split(7), targets.split(7), strict=True)

    def state_dict(self) -> dict[str, Any]:
        return {"given": self.given}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.given = state["given"]


@pytest.fixture
def make(make_run: MakeRun) -> MakeRun:
    weft.register("dataset", Stream, "stream")
    return lambda *args, **values: make_run(*args, **{"dataset": "stream", "batch_size": 30, **values})


def test_an_epoch_has_as_many_batches_as_the_training_split(make: MakeRun) -> None:
    run = make(epochs=2)
    loop.fit(run)
    asked = run.data._dataset.asked  # type: ignore[attr-defined]
    training, measuring = ("train", True), ("valid", False)
    assert [(split, mode) for split, _, mode in asked] == [training] * 3 + [measuring] + [training] * 3 + [measuring]
    assert [step for split, step, _ in asked if split == "train"] == [0, 1, 2, 3, 4, 5]
    assert run.data.steps(30) == 3
    assert run.data.sizes() == {"train": 90, "valid": 30}


def test_batches_that_end_are_an_error(make: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Stream.batches
    monkeypatch.setattr(Stream, "batches", lambda self, run, split: islice(whole(self, run, split), 2))
    with pytest.raises(PluginError, match=r"dataset stream: batches\(run, 'train'\) ended after 2 batches"):
        loop.fit(make(epochs=2))


def test_a_split_has_the_size_that_it_was_measured_on(make: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(epochs=1)
    whole = Stream.batches
    monkeypatch.setattr(Stream, "batches", lambda self, run, split: islice(whole(self, run, split), 2))
    for _ in range(2):
        loop.evaluate(run, "valid")
        assert run.data.sizes() == {"train": 90, "valid": 14}


@pytest.mark.parametrize("split", ["train", "valid"])
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.zeros(3, 4), "is not a pair of tensors"),
        ((torch.zeros(3, 4), torch.zeros(2, dtype=torch.long)), "has 3 inputs and 2 targets"),
        ((torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)), "has 0 inputs and 0 targets"),
    ],
)
def test_what_is_no_batch_is_an_error_of_the_dataset(
    make: MakeRun, monkeypatch: pytest.MonkeyPatch, split: str, batch: Any, message: str
) -> None:
    whole = Stream.batches
    monkeypatch.setattr(
        Stream, "batches", lambda self, run, of: itertools.repeat(batch, 3) if of == split else whole(self, run, of)
    )
    with pytest.raises(PluginError, match=rf"dataset stream: what batches\(run, '{split}'\) yields {message}"):
        loop.fit(make(epochs=1))


def test_nothing_to_measure_by_is_an_error(make: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Stream.batches
    monkeypatch.setattr(Stream, "batches", lambda self, run, of: whole(self, run, of) if of == "train" else iter(()))
    with pytest.raises(PluginError, match=r"dataset stream: batches\(run, 'valid'\) ended without a batch"):
        loop.fit(make(epochs=1))


def test_a_run_has_no_more_batches_than_steps(make: MakeRun) -> None:
    run = make(steps=4)
    loop.fit(run)
    assert run.step == 4
    assert run.data._dataset.given == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize("cut", [2, 3, 4])
def test_cut_and_resumed_equals_uncut(make: MakeRun, tmp_path: Path, cut: int) -> None:
    class Cut(weft.Callback):
        def on_step_end(self, run: Any) -> None:
            if run.step == cut:
                checkpoint.write(tmp_path / "c", run.state_dict())

    whole = make((Cut(),), epochs=3)
    loop.fit(whole)
    resumed = make(epochs=3)
    resumed.load_state_dict(checkpoint.read(tmp_path / "c"))
    loop.fit(resumed)
    assert resumed.data._dataset.given == whole.data._dataset.given == 9  # type: ignore[attr-defined]
    assert resumed.scores == whole.scores
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])


def test_a_dataset_may_refuse_a_run(make: MakeRun) -> None:
    with pytest.raises(ConfigError, match="not by 13"):
        make(batch_size=13)


def test_what_it_was_trained_on_has_no_score(make: MakeRun, tmp_path: Path) -> None:
    run = make(epochs=1)
    outcome = execute(run, Folder(tmp_path / "run"), MemoryTracker())
    assert outcome.status is Status.FINISHED
    assert sorted(outcome.scores) == ["test/hits", "test/loss", "valid/hits", "valid/loss"]
    with pytest.raises(
        ConfigError, match=r"'train/hits' is no score .*; there are test/loss, test/hits, valid/loss, valid/hits"
    ):
        make(reference={"score": "train/hits", "at_least": 1})


def test_a_number_that_is_not_finite_is_found_in_the_batch_that_was_made(make: MakeRun) -> None:
    run = make(dataset={"name": "stream", "bad": 4}, epochs=3)
    with pytest.raises(NonFiniteError, match="at step 5; first affected: the inputs of the batch's sample 7 \\("):
        loop.fit(run)
    found = run.observer._diagnosis
    assert found["samples"] == list(range(30))
    assert found["samples_not_finite"] == [7]


def test_a_batch_that_is_gone_is_not_mistaken_for_another(make: MakeRun) -> None:
    """As on an accelerator, where a loss is looked at some steps after it was computed."""
    run = make(epochs=1)
    loop.fit(run)
    found = diagnose(run, 2, math.nan)
    assert (found["samples"], found["samples_not_finite"], found["outputs"], found["loss_again"]) == ([], [], [], None)
    assert found["first"].startswith("not known, for that batch is gone; by now ")
    assert diagnose(run, 3, math.nan)["samples"] == list(range(30))


def test_a_dataset_without_a_state_has_none(make: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(epochs=1)
    monkeypatch.delattr(Stream, "state_dict")
    monkeypatch.delattr(Stream, "load_state_dict")
    assert run.data.state_dict() == {}  # type: ignore[attr-defined]
    run.data.load_state_dict({})  # type: ignore[attr-defined]
