"""Callbacks on a run that only looks like one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from tests.plugins.box import kept
from weft import ConfigError
from weft.objective import Objective
from weft_basics.callbacks.clipping import ClipNorm, ClipValue
from weft_basics.callbacks.early_stopping import EarlyStopping
from weft_basics.callbacks.reduce_on_plateau import ReduceOnPlateau

NAN = float("nan")


def fake(maximize: bool = False, **changes: Any) -> Any:
    """Return what callbacks see of a run."""
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3))]
    groups = [{"params": parameters[:1], "lr": 1.0}, {"params": parameters[1:], "lr": 0.1}]
    run = SimpleNamespace(
        stopping=False,
        scores={},
        metrics={"accuracy": SimpleNamespace(higher_is_better=True), "mse": SimpleNamespace(higher_is_better=False)},
        objective=Objective("valid/loss", maximize),
        optimizer=torch.optim.SGD(groups),
        scheduler=None,
        model=nn.Linear(3, 2),
    )
    return SimpleNamespace(**{**vars(run), **changes})


def epochs_until_stop(callback: EarlyStopping, scores: list[float], key: str = "valid/loss", run: Any = None) -> int | None:
    run = run or fake()
    callback.check(run)
    for epoch, score in enumerate(scores, 1):
        run.scores = {key: score}
        callback.on_epoch_end(run)
        if run.stopping:
            return epoch
    return None


@pytest.mark.parametrize(
    ("options", "scores", "stops"),
    [
        ({"patience": 2}, [3, 2, 1, 0.5, 0.4], None),
        ({"patience": 2}, [3, 2, 2, 2, 1], 4),
        ({"patience": 1}, [1, 2], 2),
        ({"patience": 2}, [3, 4, 2, 3, 3], 5),
        ({"patience": 2}, [NAN, NAN, 1], 2),
        ({"patience": 2}, [1, NAN, NAN], 3),
        ({"patience": 2}, [NAN, 2, 1, 0.5], None),
        ({"patience": 2, "min_delta": 0.5}, [3, 2.8, 2.6, 1], 3),
        ({"patience": 2, "min_delta": 0.5}, [3, 2.4, 1.8, 1.2], None),
        ({"patience": 2}, [float("inf"), 5, 4], None),
    ],
)
def test_early_stopping(options: dict[str, Any], scores: list[float], stops: int | None) -> None:
    assert epochs_until_stop(EarlyStopping(**options), scores) == stops


def test_early_stopping_follows_the_objective_s_direction() -> None:
    rising = [0.1, 0.2, 0.3, 0.4]
    assert epochs_until_stop(EarlyStopping(2), rising, run=fake(maximize=True)) is None
    assert epochs_until_stop(EarlyStopping(2), rising, run=fake(maximize=False)) == 3


@pytest.mark.parametrize(
    ("monitor", "rising_stops"),
    [
        ("valid/accuracy", None),
        ("valid/mse", 3),
        ("valid/loss", 3),
        ("min:valid/accuracy", 3),
        ("max:valid/loss", None),
    ],
)
def test_early_stopping_monitors_another_score(monitor: str, rising_stops: int | None) -> None:
    key = monitor.rpartition(":")[2]
    assert epochs_until_stop(EarlyStopping(2, monitor=monitor), [0.1, 0.2, 0.3, 0.4], key) == rising_stops


@pytest.mark.parametrize("factory", [EarlyStopping, ReduceOnPlateau])
@pytest.mark.parametrize("monitor", ["valid/accurcy", "train/loss", "up:valid/loss", "loss"])
def test_a_score_that_is_not_there_is_refused_at_the_start(factory: Any, monitor: str) -> None:
    with pytest.raises(ConfigError, match=f"{monitor!r} is no score; there are valid/loss, valid/accuracy, valid/mse"):
        factory(monitor=monitor).check(fake())


def test_a_score_without_a_direction_needs_one() -> None:
    run = fake(metrics={"odd": SimpleNamespace()})
    with pytest.raises(ConfigError, match="odd doesn't say which way it is better: write min:valid/odd or max:valid/odd"):
        EarlyStopping(monitor="valid/odd").check(run)
    EarlyStopping(monitor="max:valid/odd").check(run)


def test_early_stopping_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    callback, resumed = EarlyStopping(3), EarlyStopping(3)
    assert epochs_until_stop(callback, [1, 2, 2]) is None
    resumed.load_state_dict(kept(callback.state_dict(), tmp_path))
    assert epochs_until_stop(resumed, [0.9 + 0.2]) == 1


def rates(callback: ReduceOnPlateau, scores: list[float], run: Any = None) -> list[float]:
    run = run or fake()
    callback.check(run)
    seen = []
    for score in scores:
        run.scores = {"valid/loss": score}
        callback.on_epoch_end(run)
        seen.append(run.optimizer.param_groups[0]["lr"])
    return seen


@pytest.mark.parametrize("options", [{}, {"patience": 2}, {"patience": 1, "cooldown": 2}, {"factor": 0.5, "min_lr": 0.3}])
def test_reduce_on_plateau_is_torch_s(options: dict[str, Any]) -> None:
    options = {"patience": 3, **options}
    scores = [5, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=1.0)
    # torch waits for one epoch more than its patience says.
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=options.get("factor", 0.1),
        patience=options["patience"] - 1,
        threshold=0,
        threshold_mode="abs",
        cooldown=options.get("cooldown", 0),
        min_lr=options.get("min_lr", 0),
        eps=0,
    )
    expected = []
    for score in scores:
        theirs.step(score)
        expected.append(optimizer.param_groups[0]["lr"])
    found = rates(ReduceOnPlateau(**options), scores)
    assert found == pytest.approx(expected)
    assert found[-1] < 1


def test_reduce_on_plateau_moves_every_group_and_raises_none() -> None:
    run = fake()
    rates(ReduceOnPlateau(0.5, patience=1, min_lr=0.2), [1, 1], run)
    assert [group["lr"] for group in run.optimizer.param_groups] == [0.5, 0.1]


def test_reduce_on_plateau_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    scores = [3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2]
    whole = rates(ReduceOnPlateau(0.5, patience=2, cooldown=1), scores)
    for stop in range(1, len(scores)):
        run = fake()
        callback, resumed = (ReduceOnPlateau(0.5, patience=2, cooldown=1) for _ in range(2))
        first = rates(callback, scores[:stop], run)
        resumed.load_state_dict(kept(callback.state_dict(), tmp_path))
        assert first + rates(resumed, scores[stop:], run) == whole


@pytest.mark.parametrize(
    "scheduler",
    [
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, 10, cycle_momentum=False),
        lambda optimizer: torch.optim.lr_scheduler.CyclicLR(optimizer, 0.1, 1.0, cycle_momentum=False),
        lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3),
        lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, float),
    ],
)
def test_schedulers_that_would_undo_a_reduction_are_refused(scheduler: Any) -> None:
    run = fake()
    run.scheduler = scheduler(run.optimizer)
    with pytest.raises(ConfigError, match=f"{type(run.scheduler).__name__} sets the rate anew at every step"):
        ReduceOnPlateau().check(run)


@pytest.mark.parametrize(
    "scheduler",
    [
        lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 100),
        lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
        lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, [100]),
    ],
)
def test_a_reduction_lasts_beside_other_schedulers(scheduler: Any) -> None:
    run = fake()
    run.scheduler = scheduler(run.optimizer)
    rates(ReduceOnPlateau(0.5, patience=1), [1, 1], run)
    run.optimizer.step()
    run.scheduler.step()
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(0.5)


def gradients(run: Any, scale: float) -> torch.Tensor:
    for parameter in run.model.parameters():
        parameter.grad = torch.randn_like(parameter) * scale
    return torch.cat([parameter.grad.flatten() for parameter in run.model.parameters()])


def after(run: Any) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in run.model.parameters()])


def test_clip_norm_scales_all_gradients_together() -> None:
    run = fake()
    before = gradients(run, 100)
    ClipNorm(2.0).on_gradients(run)
    torch.testing.assert_close(after(run), before * 2 / before.norm(), rtol=1e-4, atol=1e-6)
    before = gradients(run, 0.001)
    ClipNorm(2.0).on_gradients(run)
    torch.testing.assert_close(after(run), before)


def test_clip_value_cuts_each_number() -> None:
    run = fake()
    before = gradients(run, 3)
    ClipValue(0.5).on_gradients(run)
    assert torch.equal(after(run), before.clamp(-0.5, 0.5))
    assert not torch.equal(after(run), before)
