"""Schedulers of torch whose lengths, left open, follow from the run's."""

from __future__ import annotations

from typing import Annotated

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, ExponentialLR, LinearLR, MultiStepLR, StepLR

from weft import Range

Steps = Range(1, 1_000_000_000, log=True)
Factor = Range(1e-6, 1, log=True)


def step(
    optimizer: Optimizer,
    total_steps: int,
    step_size: Annotated[int | None, Steps, "steps between two falls; null: a third of the run"] = None,
    gamma: Annotated[float, Factor, "factor at each fall"] = 0.1,
) -> StepLR:
    """The rate times gamma every step_size steps."""
    return StepLR(optimizer, max(1, total_steps // 3) if step_size is None else step_size, gamma)


def multi_step(
    optimizer: Optimizer,
    total_steps: int,
    milestones: Annotated[list[int] | None, Steps, "steps to fall at; null: at half and three quarters of the run"] = None,
    gamma: Annotated[float, Factor, "factor at each fall"] = 0.1,
) -> MultiStepLR:
    """The rate times gamma at each milestone."""
    halfway = [max(1, total_steps // 2), max(1, total_steps * 3 // 4)]
    return MultiStepLR(optimizer, halfway if milestones is None else milestones, gamma)


def linear(
    optimizer: Optimizer,
    total_steps: int,
    start_factor: Annotated[float, Factor, "of the rate, at the first step"] = 1.0,
    end_factor: Annotated[float, Range(0, 1), "of the rate, at the run's end"] = 0.0,
) -> LinearLR:
    """A straight line over the run, by default from the rate down to nothing."""
    return LinearLR(optimizer, start_factor, end_factor, total_steps)


def exponential(
    optimizer: Optimizer,
    total_steps: int,
    gamma: Annotated[float | None, Factor, "factor at every step; null: what ends at a hundredth of the rate"] = None,
) -> ExponentialLR:
    """The rate times gamma at every step."""
    return ExponentialLR(optimizer, 0.01 ** (1 / total_steps) if gamma is None else gamma)


def cosine_restarts(
    optimizer: Optimizer,
    total_steps: int,
    T_0: Annotated[int | None, Steps, "steps until the first restart; null: a quarter of the run"] = None,
    T_mult: Annotated[int, Range(1, 10), "how much longer each period is than the last"] = 1,
    eta_min: Annotated[float, Range(0, 10), "the lowest rate"] = 0.0,
) -> CosineAnnealingWarmRestarts:
    """Half a cosine from the rate down to eta_min, again and again (Loshchilov and Hutter, "SGDR", 2017)."""
    return CosineAnnealingWarmRestarts(optimizer, max(1, total_steps // 4) if T_0 is None else T_0, T_mult, eta_min)
