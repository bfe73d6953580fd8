"""What the observer writes down, against the same numbers by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.conftest import MakeRun
from weft import Callback, loop
from weft.state import Run
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


@pytest.mark.parametrize("optimizer", ["descent", "moments"])
def test_norms_shares_and_ratios_are_what_they_say(make_run: MakeRun, optimizer: str) -> None:
    hand = ByHand()
    run = make_run((hand,), steps=4, batch_size=30, optimizer=optimizer, observe={"every": 1})
    loop.fit(run)
    for name, _ in run.model.named_parameters():
        for step in range(1, 5):
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
