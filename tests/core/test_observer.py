"""What the observer writes down, against the same numbers by hand."""

from __future__ import annotations

import itertools
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.core.conftest import MakeRun
from weft import Callback, loop
from weft.errors import NonFiniteError
from weft.state import Run
from weft.telemetry.cadence import HostTimer
from weft.telemetry.series import together
from weft.telemetry.tracker import MemoryTracker
from weft.telemetry.transfer import transferred


class ByHand(Callback):
    """Keeps gradients, losses and weights as they were at each step."""

    def __init__(self) -> None:
        self.gradients: list[dict[str, torch.Tensor]] = []
        self.weights: list[dict[str, torch.Tensor]] = []

    def on_fit_start(self, run: Run) -> None:
        self.on_step_end(run)

    def on_gradients(self, run: Run) -> None:
        self.gradients.append({n: p.grad.clone() for n, p in run.model.named_parameters() if p.grad is not None})

    def on_step_end(self, run: Run) -> None:
        self.weights.append({name: parameter.detach().clone() for name, parameter in run.model.named_parameters()})


def series(run: Run, key: str) -> list[tuple[int, float]]:
    assert isinstance(run.observer.tracker, MemoryTracker)
    return run.observer.tracker.series(key)


@pytest.mark.parametrize("optimizer", ["descent", "moments", {"name": "descent", "fused": False}])
@pytest.mark.parametrize(("every", "steps"), [(1, [1, 2, 3, 4, 5, 6, 7]), (2, [1, 2, 4, 6]), (3, [1, 3, 6])])
def test_norms_shares_and_ratios_are_what_they_say(make_run: MakeRun, optimizer: Any, every: int, steps: list[int]) -> None:
    """With optimizers that are fused, by default, and with one that is not."""
    hand = ByHand()
    run = make_run((hand,), steps=7, batch_size=30, optimizer=optimizer, observe={"every": every})
    loop.fit(run)
    for name, _ in run.model.named_parameters():
        assert [step for step, _ in series(run, f"update_ratio/{name}")] == steps
        for step in steps:
            gradient, before, after = hand.gradients[step - 1][name], hand.weights[step - 1][name], hand.weights[step][name]
            expected = {
                "grad_norm": gradient.norm(),
                "grad_zeros": (gradient == 0).float().mean(),
                "param_norm": before.norm(),
                "update_ratio": (after - before).norm() / before.norm(),
            }
            for statistic, value in expected.items():
                found = dict(series(run, f"{statistic}/{name}"))[step]
                assert found == pytest.approx(float(value), rel=1e-4), (statistic, name, step)
    assert not [key for key in sorted(run.observer.tracker.keys()) if key.startswith("grad_nonfinite")]  # type: ignore[attr-defined]


def test_weights_that_begin_at_zero_have_no_ratio_at_first_and_are_finite(make_run: MakeRun) -> None:
    run = make_run(steps=3, batch_size=30, observe={"every": 1})
    with torch.no_grad():
        run.model[0].bias.zero_()  # type: ignore[index, union-attr]
    loop.fit(run)
    assert [step for step, _ in series(run, "update_ratio/0.bias")] == [2, 3]
    assert [step for step, _ in series(run, "update_ratio/0.weight")] == [1, 2, 3]
    for statistic in ("grad_norm", "grad_zeros", "param_norm"):
        assert [step for step, _ in series(run, f"{statistic}/0.bias")] == [1, 2, 3]
    tracker: Any = run.observer.tracker
    assert all(math.isfinite(value) for key in sorted(tracker.keys()) for _, value in series(run, key))


def test_the_cadence_is_kept_and_the_first_step_is_seen(make_run: MakeRun) -> None:
    run = make_run(steps=12, batch_size=30, observe={"every": 5})
    loop.fit(run)
    assert [step for step, _ in series(run, "grad_norm/0.weight")] == [1, 5, 10]
    assert [step for step, _ in series(run, "train/loss")] == [1, 3, 5, 6, 9, 10, 12]


def test_the_loss_is_the_mean_since_the_last_record(make_run: MakeRun) -> None:
    each = make_run(steps=6, batch_size=90, observe={"every": 1})
    loop.fit(each)
    run = make_run(steps=6, batch_size=30, observe={"every": 1})
    loop.fit(run)
    rare = make_run(steps=6, batch_size=30, observe={"every": 100})
    loop.fit(rare)
    every = dict(series(run, "train/loss"))
    assert dict(series(rare, "train/loss")) == pytest.approx(
        {1: every[1], 3: (every[2] + every[3]) / 2, 6: (every[4] + every[5] + every[6]) / 3}
    )


def test_penalties_have_their_own_name(make_run: MakeRun) -> None:
    run = make_run(steps=1, regularizer={"small": {"name": "shrink", "weight": 0.5}}, observe={"every": 1})
    expected = 0.5 * sum(float(parameter.detach().square().sum()) for parameter in run.model.parameters())
    loop.fit(run)
    assert series(run, "train/penalty.small") == [(1, pytest.approx(expected))]


def test_an_optimizer_that_evaluates_several_times_is_logged_once_a_step(make_run: MakeRun) -> None:
    run = make_run(steps=3, optimizer="newton", observe={"every": 1})
    with torch.no_grad():
        first = next(iter(run.data.batches(64, 0, 0, 0)))
        expected = float(nn.functional.cross_entropy(run.model(first[0]), first[1]))
    loop.fit(run)
    losses = series(run, "train/loss")
    assert [step for step, _ in losses] == [1, 2, 3]
    assert losses[0][1] == pytest.approx(expected, rel=1e-5)


def test_nothing_is_looked_at_when_that_was_not_asked_for(make_run: MakeRun) -> None:
    run = make_run(steps=2, observe={"every": 1, "gradients": False})
    loop.fit(run)
    assert {key.partition("/")[0] for key in sorted(run.observer.tracker.keys())} == {"train", "valid"}


def test_many_parameters_are_taken_together_by_module(make_run: MakeRun) -> None:
    hand = ByHand()
    run = make_run((hand,), steps=1, observe={"every": 1, "series": 2})
    loop.fit(run)
    for module in ("0", "3"):
        parts = [gradient for name, gradient in hand.gradients[0].items() if name.startswith(f"{module}.")]
        whole = torch.cat([part.flatten() for part in parts])
        assert series(run, f"grad_norm/{module}") == [(1, pytest.approx(float(whole.norm()), rel=1e-5))]
        assert series(run, f"grad_zeros/{module}") == [(1, pytest.approx(float((whole == 0).float().mean())))]
    assert len([key for key in sorted(run.observer.tracker.keys()) if key.startswith("grad_norm/")]) == 2


def test_series_are_bounded_whatever_the_names() -> None:
    names = [f"blocks.{block}.layer{layer}.{kind}" for block in range(40) for layer in range(3) for kind in ("w", "b")]
    assert set(together(names, 300)) == set(names)
    assert set(together(names, 120)) == {name.rpartition(".")[0] for name in names}
    assert set(together(names, 64)) == {f"blocks.{block}" for block in range(40)}
    assert set(together(names, 10)) == {"blocks"}
    assert set(together([f"w{index}" for index in range(9)], 4)) == {"all"}


def test_values_of_callbacks_are_recorded_as_numbers_or_tensors(make_run: MakeRun) -> None:
    class Say(Callback):
        def on_step_end(self, run: Run) -> None:
            run.log({"mine/number": 0.5, "mine/tensor": torch.tensor(run.step * 2.0)})

    run = make_run((Say(),), steps=2)
    loop.fit(run)
    assert series(run, "mine/number") == [(1, 0.5), (2, 0.5)]
    assert series(run, "mine/tensor") == [(1, 2.0), (2, 4.0)]


@pytest.mark.gpu
def test_values_from_a_gpu_and_from_memory_come_together() -> None:
    """As when a loss is on the device and no gradients were looked at since the last flush."""
    tensors = [torch.tensor(0.5, device="cuda"), torch.empty(0), torch.ones(2, 3, device="cuda"), torch.tensor(2.0)]
    found = transferred(tensors)
    assert [value.tolist() for value in found] == [0.5, [], [[1.0] * 3] * 2, 2.0]


def observed(run: Run, folder: Path) -> Path:
    """Fit a run whose folder that is, and show what was seen; return where."""
    run.observer.keep_in(folder)
    loop.fit(run)
    run.observer.publish(run)
    return folder / "gradients"


@pytest.mark.parametrize("precision", ["fp64", "fp32", "bf16"])
def test_histograms_are_of_gradients_weights_and_updates(make_run: MakeRun, tmp_path: Path, precision: str) -> None:
    hand = ByHand()
    run = make_run((hand,), steps=6, batch_size=30, precision=precision, observe={"every": 2, "histograms": 3})
    with np.load(observed(run, tmp_path) / "histograms.npz", allow_pickle=False) as found:
        assert found["steps"].tolist() == [1, 4, 6]
        names, lowest = found["series"].tolist(), int(found["exponents"][0])
        assert names == [name for name, _ in run.model.named_parameters()]
        for look, step in enumerate(found["steps"]):
            for place, name in enumerate(names):
                before, after = hand.weights[step - 1][name], hand.weights[step][name]
                for kind, numbers in enumerate((hand.gradients[step - 1][name], before, after - before)):
                    expected = np.zeros_like(found["counts"][look, place, kind])
                    for number in numbers.flatten().tolist():
                        if number:
                            expected[int(number > 0), math.frexp(number)[1] - 1 - lowest] += 1
                    assert found["counts"][look, place, kind].tolist() == expected.tolist()
                    assert found["zeros"][look, place, kind] == int((numbers == 0).sum())
        assert not found["nonfinite"].any()


def test_every_parameter_s_series_is_kept_when_the_tracker_s_are_taken_together(make_run: MakeRun, tmp_path: Path) -> None:
    hand = ByHand()
    run = make_run((hand,), steps=3, batch_size=30, observe={"every": 1, "series": 2})
    with np.load(observed(run, tmp_path) / "statistics.npz", allow_pickle=False) as found:
        assert found["parameters"].tolist() == [name for name, _ in run.model.named_parameters()]
        assert found["series"].tolist() == ["0", "0", "3", "3"]
        for place, name in enumerate(found["parameters"].tolist()):
            norms = [float(gradients[name].norm()) for gradients in hand.gradients]
            assert found["grad_norm"][:, place].tolist() == pytest.approx(norms, rel=1e-5)
    with np.load(tmp_path / "gradients" / "histograms.npz", allow_pickle=False) as found:
        assert found["series"].tolist() == ["0", "3"]
        sizes = {name: parameter.numel() for name, parameter in run.model.named_parameters()}
        whole = found["counts"].sum((-1, -2)) + found["zeros"] + found["nonfinite"]
        assert whole[0].tolist() == [[sizes["0.weight"] + sizes["0.bias"]] * 3, [sizes["3.weight"] + sizes["3.bias"]] * 3]


def test_what_was_seen_is_handed_to_the_tracker(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(steps=2)
    folder = observed(run, tmp_path)
    assert run.observer.tracker.artifacts == [("gradients", folder)]  # type: ignore[attr-defined]
    assert {path.name for path in folder.iterdir()} == {"gradients.html", "heatmaps", "histograms.npz", "statistics.npz"}
    assert len(list((folder / "heatmaps").iterdir())) == 4 * 3


@pytest.mark.parametrize("observe", [{"gradients": False}, {"histograms": None}])
def test_nothing_is_shown_that_was_not_asked_for(make_run: MakeRun, tmp_path: Path, observe: dict[str, Any]) -> None:
    folder = observed(make_run(steps=2, observe=observe), tmp_path)
    if "histograms" in observe:
        with np.load(folder / "histograms.npz", allow_pickle=False) as found:
            assert not len(found["steps"])
    else:
        assert not list(tmp_path.iterdir())


def test_a_picture_that_can_t_be_written_fails_no_run(
    make_run: MakeRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = make_run(steps=2)
    (tmp_path / "gradients").write_text("in the way")
    with caplog.at_level(logging.WARNING, logger="weft"):
        observed(run, tmp_path)
    assert "gradients can't be shown: FileExistsError" in caplog.text


def test_looking_changes_no_weight(make_run: MakeRun, tmp_path: Path) -> None:
    plain = make_run(epochs=3, model={"noise": 0.3}, optimizer="moments", observe={"gradients": False})
    loop.fit(plain)
    watched = make_run(epochs=3, model={"noise": 0.3}, optimizer="moments", observe={"every": 1, "histograms": 1})
    observed(watched, tmp_path)
    weights = watched.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in plain.model.state_dict().items())


def test_a_gradient_that_is_not_finite_is_told_of(make_run: MakeRun, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Spoil(Callback):
        """Spoils a gradient where nothing comes of it."""

        def on_fit_start(self, run: Run) -> None:
            run.regularizers._gradients.append(lambda model: self.spoil(run))

        def spoil(self, run: Run) -> None:
            if run.step in (4, 5):
                run.model[3].bias.grad[0] = math.inf  # type: ignore[index, union-attr]

        def on_gradients(self, run: Run) -> None:
            run.model[3].bias.grad.nan_to_num_(posinf=0.0)  # type: ignore[index, union-attr]

    run = make_run((Spoil(),), steps=9, batch_size=30, observe={"every": 1})
    with caplog.at_level(logging.WARNING, logger="weft"):
        folder = observed(run, tmp_path)
    assert caplog.text.count("the gradient of 3.bias holds NaN or infinity at step 5 (batch 2 of epoch 2)") == 1
    assert len(caplog.records) == 1
    found = json.loads((folder / "non_finite.json").read_text())
    assert found == {"gradient": {"step": 5, "epoch": 2, "batch": 2, "parameters": ["3.bias"]}}


def test_a_run_that_fails_leaves_its_diagnosis(make_run: MakeRun, tmp_path: Path) -> None:
    class Spoil(Callback):
        def on_step_end(self, run: Run) -> None:
            if run.step == 3:
                with torch.no_grad():
                    run.model[3].bias[0] = math.nan  # type: ignore[index, union-attr]

    run = make_run((Spoil(),), epochs=3, batch_size=30, observe={"gradients": False})
    run.observer.keep_in(tmp_path)
    with pytest.raises(NonFiniteError, match=r"gradients/non_finite\.json"):
        loop.fit(run)
    run.observer.publish(run)
    found = json.loads((tmp_path / "gradients" / "non_finite.json").read_text())
    assert (found["step"], found["first"], found["weights"]) == (4, "the weights of 3.bias", ["3.bias"])


@pytest.mark.parametrize(("histograms", "kept"), [(None, 17), (50, 17), (1, 33)])
def test_a_budget_that_is_exceeded_makes_histograms_and_looks_rarer_and_is_said(
    histograms: int | None,
    kept: int,
    make_run: MakeRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """On a clock on which a step takes a second, and looking at it a tenth of that."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr("weft.telemetry.observer._FLUSH_SECONDS", 0.0)

    class Step(Callback):
        def on_gradients(self, run: Run) -> None:
            now[0] += 1.0

    run = make_run((Step(),), epochs=90, batch_size=30, observe={"every": 1, "budget": 0.04, "histograms": histograms})
    end = HostTimer.__exit__

    def leave(timer: HostTimer, *what: object) -> None:
        now[0] += 0.025  # four times a look: before the update, after it, taken, made into rows
        end(timer, *what)

    monkeypatch.setattr(HostTimer, "__exit__", leave)
    with caplog.at_level(logging.WARNING, logger="weft"):
        observed(run, tmp_path)
    looked = [step for step, _ in series(run, "grad_norm/0.weight")]
    assert looked[:kept] == [*range(1, kept + 1)]  # histograms go first
    assert looked[kept] > kept + 1
    factor = run.observer.state_dict()["looking"]["factor"]
    assert factor == 4
    assert {second - first for first, second in itertools.pairwise(looked[kept + 3 :])} == {factor}
    assert [step for step, _ in series(run, "train/loss")] == [*range(1, run.step + 1)]  # the loss is cheap
    assert caplog.text.count("more than observe.budget=0.04 of the training time") == 1
    tags = run.observer.tracker.tags  # type: ignore[attr-defined]
    assert tags["weft.observe"].startswith(f"every {factor} steps instead of 1 from step ")


def test_without_a_budget_every_look_is_taken(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def later() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr("time.perf_counter", later)
    run = make_run(epochs=20, batch_size=30, observe={"every": 1, "budget": None})
    loop.fit(run)
    assert len(series(run, "grad_norm/0.weight")) == run.step
