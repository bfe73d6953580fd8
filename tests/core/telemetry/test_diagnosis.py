"""Where a number that isn't finite came from."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.core.conftest import MakeRun
from tests.core.conftest import make_run as make_run
from tests.core.conftest import toys as toys
from weft import Callback, loop
from weft.errors import NonFiniteError
from weft.state import Run
from weft.telemetry.diagnosis import diagnose, position


class Spoil(Callback):
    """Spoils something after a step."""

    def __init__(self, step: int, how: Any):
        self.step, self.how = step, how

    def on_step_end(self, run: Run) -> None:
        if run.step == self.step:
            with torch.no_grad():
                self.how(run)


def bad_weight(run: Run) -> None:
    run.model[3].bias[1] = math.nan  # type: ignore[index, union-attr]


def large_weights(run: Run) -> None:
    run.model[0].weight.fill_(3e38)  # type: ignore[index, union-attr]


def bad_sample(run: Run) -> None:
    place = run.data.order(0, 1)[31]
    run.data.splits["train"][0][place, 2] = math.inf


def diagnosed(run: Run) -> tuple[str, dict[str, Any]]:
    with pytest.raises(NonFiniteError) as raised:
        loop.fit(run)
    return str(raised.value), run.observer._diagnosis


@pytest.mark.parametrize(
    ("how", "first"),
    [
        (bad_weight, "the weights of 3.bias"),
        (large_weights, "the output of 0 (Linear)"),
    ],
)
def test_the_first_layer_is_named(make_run: MakeRun, how: Any, first: str) -> None:
    run = make_run((Spoil(5, how),), epochs=5, batch_size=30)
    message, found = diagnosed(run)
    assert f"at step 6; first affected: {first} (batch 3 of epoch 2; " in message
    assert (found["step"], found["epoch"], found["batch"]) == (6, 2, 3)
    assert found["samples"] == run.data.order(0, 1)[60:90].tolist()
    assert found["first"] == first
    assert found["updates_since"] == 0


def test_a_bad_sample_is_named(make_run: MakeRun) -> None:
    run = make_run((Spoil(3, bad_sample),), epochs=5, batch_size=30)
    message, found = diagnosed(run)
    sample = int(run.data.order(0, 1)[31])
    assert f"at step 5; first affected: the inputs of training sample {sample} (batch 2 of epoch 2; " in message
    assert found["samples_not_finite"] == [sample]
    assert found["outputs"][0] == "0 (Linear)"


def test_the_loss_itself_is_named_when_all_outputs_are_finite(make_run: MakeRun) -> None:
    run = make_run()
    run.loss = lambda outputs, targets: (outputs.square().sum() * 1e30).square()
    message, found = diagnosed(run)
    assert "first affected: the loss itself, of outputs that are finite, but the weights of " in message
    assert found["outputs"] == []
    assert found["loss_again"] == "inf"


def test_a_gradient_is_named_when_the_loss_is_finite_again(make_run: MakeRun) -> None:
    run = make_run()
    for parameter in run.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    run.model[3].weight.grad[0, 0] = math.inf  # type: ignore[index, union-attr]
    found = diagnose(run, 1, math.nan)
    assert found["first"] == "the gradient of 3.weight"
    assert found["gradients"] == ["3.weight"]
    assert math.isfinite(float(found["loss_again"]))


def test_layers_come_in_the_order_of_the_forward_pass(make_run: MakeRun) -> None:
    """Not in the order they were written down in."""

    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(8, 3), nn.Linear(4, 8)
            self.unused = nn.Linear(1, 1)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(inputs))  # type: ignore[no-any-return]

    run = make_run()
    run.model = Backwards()
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.fill_(math.nan)
    found = diagnose(run, 1, math.nan)
    assert found["weights"] == ["first.weight", "first.bias", "last.weight", "last.bias", "unused.weight", "unused.bias"]
    assert found["outputs"] == ["first (Linear)", "last (Linear)", " (Backwards)"]
    assert found["first"] == "the weights of first.weight"


def test_a_model_that_can_t_be_called_again_is_told_of_by_its_weights(make_run: MakeRun) -> None:
    class Once(nn.Linear):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("not again")

    run = make_run()
    run.model = Once(4, 3)
    found = diagnose(run, 1, math.nan)
    assert found["loss_again"] is None
    assert found["first"].startswith("none yet, but the weights of ")


def test_a_diagnosis_changes_nothing(make_run: MakeRun) -> None:
    run = make_run(model={"noise": 0.5})
    run.model.append(nn.BatchNorm1d(3))  # type: ignore[operator]
    run.model.train()
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    state = torch.get_rng_state()
    diagnose(run, 2, math.nan)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    assert not [module for module in run.model.modules() if module._forward_hooks]
    assert run.model.training


@pytest.mark.parametrize("cut", [2, 7])
def test_batches_are_counted_alike_in_a_run_that_was_cut(make_run: MakeRun, cut: int) -> None:
    run = make_run(epochs=4, batch_size=32)
    steps = run.data.steps(32)
    assert [position(run, step) for step in range(1, 2 * steps + 1)] == [(e, b) for e in range(2) for b in range(steps)]
    found = diagnose(run, cut, math.nan)
    batches = [batch for epoch in range(4) for batch in run.data.batches(32, 0, epoch, 0)]
    assert torch.equal(run.data.splits["train"][0][found["samples"]], batches[cut - 1][0])
