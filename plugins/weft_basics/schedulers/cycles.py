"""Schedulers that raise the rate and lower it, and momentum the other way. They work with optimizers without momentum too."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from weft import Range

Rate = Range(1e-9, 10, log=True)
Steps = Range(1, 1_000_000_000, log=True)
Momentum = Range(0, 0.9999)
Cycles = Annotated[bool, "lower momentum while the rate rises, where the optimizer has one above zero"]


def cyclic(
    optimizer: Optimizer,
    total_steps: int,
    base_lr: Annotated[float | None, Rate, "the lowest rate; null: a tenth of the optimizer's"] = None,
    max_lr: Annotated[float | None, Rate, "the highest rate; null: the optimizer's"] = None,
    step_size_up: Annotated[int | None, Steps, "steps of a rise; null: a tenth of the run"] = None,
    step_size_down: Annotated[int | None, Steps, "steps of a fall; null: as many"] = None,
    mode: Annotated[
        Literal["triangular", "triangular2", "exp_range"],
        "peaks that stay, halve with each cycle, or fall by gamma with each step",
    ] = "triangular",
    gamma: Annotated[float, Range(1e-3, 1), "of exp_range"] = 1.0,
    cycle_momentum: Cycles = True,
    base_momentum: Annotated[float, Momentum, "at the highest rate"] = 0.8,
    max_momentum: Annotated[float, Momentum, "at the lowest rate"] = 0.9,
) -> CyclicLR:
    """The rate up and down between base_lr and max_lr (Smith, "Cyclical learning rates", 2017).

    The optimizer's own rate is the peak: with parameter groups, each has its own.

    Raises:
        ValueError: base_lr is above max_lr.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    highest = rates if max_lr is None else [max_lr] * len(rates)
    lowest = [rate / 10 for rate in rates] if base_lr is None else [base_lr] * len(rates)
    for low, high in zip(lowest, highest, strict=True):
        if low > high:
            raise ValueError(f"base_lr={low:g} is above max_lr={high:g}, which is the optimizer's lr when it is left open")
    return CyclicLR(
        optimizer,
        lowest,
        highest,
        step_size_up=max(1, total_steps // 10) if step_size_up is None else step_size_up,
        step_size_down=step_size_down,
        mode=mode,
        gamma=gamma,
        cycle_momentum=cycle_momentum and _has_momentum(optimizer),
        base_momentum=base_momentum,
        max_momentum=max_momentum,
    )


def one_cycle(
    optimizer: Optimizer,
    total_steps: int,
    max_lr: Annotated[float | None, Rate, "the highest rate; null: the optimizer's"] = None,
    pct_start: Annotated[float, Range(0.01, 0.99), "share of the run in which the rate rises"] = 0.3,
    anneal_strategy: Annotated[Literal["cos", "linear"], "shape of rise and fall"] = "cos",
    cycle_momentum: Cycles = True,
    base_momentum: Annotated[float, Momentum, "at the highest rate"] = 0.85,
    max_momentum: Annotated[float, Momentum, "at the lowest rate"] = 0.95,
    div_factor: Annotated[float, Range(1, 1e6, log=True), "highest rate over the first"] = 25.0,
    final_div_factor: Annotated[float, Range(1, 1e9, log=True), "first rate over the last"] = 1e4,
    three_phase: Annotated[bool, "fall as long as the rise, then go on to the last rate"] = False,
) -> OneCycleLR:
    """One rise to max_lr and one fall to next to nothing, over the whole run (Smith and Topin, "Super-convergence", 2018).

    The optimizer's own rate is the peak, not the start: with parameter groups, each has its own.

    Raises:
        ValueError: a rise of exactly one step, which has no slope, or three phases that are longer than the run.
    """
    stepped = total_steps + 1  # it is stepped after the run's last step too
    if math.isclose(pct_start * stepped, 1):
        raise ValueError(f"pct_start={pct_start:g} of {total_steps} steps is a rise of one step; give it more, or less")
    if three_phase and pct_start > 0.5:
        raise ValueError(f"pct_start={pct_start:g}: with three_phase, rise and fall take it twice; give at most 0.5")
    return OneCycleLR(
        optimizer,
        [group["lr"] if max_lr is None else max_lr for group in optimizer.param_groups],
        total_steps=stepped,
        pct_start=pct_start,
        anneal_strategy=anneal_strategy,
        cycle_momentum=cycle_momentum and _has_momentum(optimizer),
        base_momentum=base_momentum,
        max_momentum=max_momentum,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        three_phase=three_phase,
    )


def _has_momentum(optimizer: Optimizer) -> bool:
    """Whether every group has a momentum to cycle. One of zero was chosen, and stays."""
    name = "betas" if "betas" in optimizer.defaults else "momentum"
    return name in optimizer.defaults and all(group.get(name) for group in optimizer.param_groups)
