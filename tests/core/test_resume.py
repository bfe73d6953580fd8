"""A run that was cut short and went on is the run that was not: bit for bit, at any step."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.core.conftest import MakeRun
from tests.core.test_checkpoint import same
from weft import Callback, checkpoint, loop
from weft.keeping import BestWeights
from weft.state import Run


class Cut(Exception):
    """The plug is pulled."""


class CutAfter(Callback):
    """Keeps a checkpoint after a step, and pulls the plug."""

    def __init__(self, step: int, path: Path):
        self.step, self.path = step, path

    def on_step_end(self, run: Run) -> None:
        if run.step == self.step:
            run.observer.flush(run)
            checkpoint.write(self.path, run.state_dict())
            raise Cut


def ending(run: Run) -> dict[str, Any]:
    state = run.state_dict()
    del state["random"]
    return state


@pytest.mark.parametrize("step", [1, 3, 6, 7, 11, 12])
@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": {"lr": 0.1, "momentum": 0.9}},
        {"optimizer": "moments", "regularizer": {"shrink": "shrink"}, "model": {"noise": 0.5}},
        {"optimizer": {"name": "newton", "max_iter": 3}},
        {"optimizer": "moments", "precision": "fp16"},
        {"optimizer": "moments", "accumulate": 3, "model": {"noise": 0.2}, "observe": {"every": 4}},
    ],
)
def test_cut_and_resumed_equals_uncut(make_run: MakeRun, tmp_path: Path, options: dict[str, Any], step: int) -> None:
    values = {"epochs": 4, "batch_size": 32, **options}
    whole = make_run((BestWeights(),), **values)
    loop.fit(whole)

    cut = make_run((BestWeights(), CutAfter(step, tmp_path / "c")), **values)
    with pytest.raises(Cut):
        loop.fit(cut)
    resumed = make_run((BestWeights(),), seed=0, **values)
    torch.manual_seed(99)
    resumed.load_state_dict(checkpoint.read(tmp_path / "c"))
    loop.fit(resumed)

    assert same(ending(resumed), ending(whole))
    for key in ("train/loss", "valid/loss"):
        merged = dict(cut.observer.tracker.series(key)) | dict(resumed.observer.tracker.series(key))  # type: ignore[attr-defined]
        assert merged == dict(whole.observer.tracker.series(key))  # type: ignore[attr-defined]


def test_a_callback_s_state_is_kept(make_run: MakeRun, tmp_path: Path) -> None:
    class Counter(Callback):
        def __init__(self) -> None:
            self.seen = 0

        def on_step_end(self, run: Run) -> None:
            self.seen += 1

        def state_dict(self) -> dict[str, int]:
            return {"seen": self.seen}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.seen = state["seen"]

    with pytest.raises(Cut):
        loop.fit(make_run((Counter(), CutAfter(5, tmp_path / "c")), epochs=4))
    counter = Counter()
    run = make_run((counter,), epochs=4)
    run.load_state_dict(checkpoint.read(tmp_path / "c"))
    loop.fit(run)
    assert counter.seen == run.step


@pytest.mark.parametrize("step", [1, 6, 9])
@pytest.mark.parametrize("observe", [{"every": 1, "histograms": 1}, {"every": 2, "histograms": 3, "series": 2}])
def test_what_looks_have_found_is_the_same(make_run: MakeRun, tmp_path: Path, observe: dict[str, Any], step: int) -> None:
    """Also when the run went on for some steps after its last checkpoint."""

    class Die(Callback):
        def on_step_end(self, run: Run) -> None:
            if run.step == step + 2:
                run.observer.flush(run)
                raise Cut

    class Keep(CutAfter):
        def on_step_end(self, run: Run) -> None:
            with contextlib.suppress(Cut):
                super().on_step_end(run)

    folders = [tmp_path / name for name in ("whole", "cut")]
    for folder in folders:
        folder.mkdir()
    whole = make_run(epochs=4, batch_size=32, observe=observe)
    whole.observer.keep_in(folders[0])
    loop.fit(whole)
    whole.observer.publish(whole)

    cut = make_run((Keep(step, tmp_path / "c"), Die()), epochs=4, batch_size=32, observe=observe)
    cut.observer.keep_in(folders[1])
    with pytest.raises(Cut):
        loop.fit(cut)
    resumed = make_run(epochs=4, batch_size=32, observe=observe)
    resumed.observer.keep_in(folders[1])
    resumed.load_state_dict(checkpoint.read(tmp_path / "c"))
    loop.fit(resumed)
    resumed.observer.publish(resumed)

    for name in ("histograms.npz", "statistics.npz"):
        with np.load(folders[0] / "gradients" / name) as ours, np.load(folders[1] / "gradients" / name) as theirs:
            assert ours.files == theirs.files
            for array in ours.files:
                assert np.array_equal(ours[array], theirs[array]), array
