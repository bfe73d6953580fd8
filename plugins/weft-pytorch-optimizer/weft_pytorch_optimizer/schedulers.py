"""The library's schedulers, stepped after each step of the optimizer, with lengths in steps.

The library's own begin at their lowest rate and wait for a first `step()`; a run takes its first step at the rate it finds. So
each of these has been stepped once when it is made. Some set one rate for all weights: left open, that is the optimizer's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytorch_optimizer
from pytorch_optimizer.base.scheduler import BaseLinearWarmupScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from weft import Range

Rate = Annotated[float | None, Range(1e-9, 10, log=True), "the highest rate; null: the optimizer's"]
Lowest = Annotated[float, Range(0, 10), "the lowest rate"]
First = Annotated[float, Range(0, 10), "the rate that the warm-up begins at"]
WarmUp = Annotated[int, Range(0, 1_000_000_000), "steps of warm-up"]
Steps = Range(1, 1_000_000_000, log=True)


class WarmedUp(BaseLinearWarmupScheduler):
    """A scheduler with a linear warm-up, with a state and with its first rate set.

    Raises:
        ValueError: the warm-up is as long as the run; or groups of weights have rates that differ, where max_lr is left open.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        max_lr: Rate = None,
        min_lr: Lowest = 0.0,
        init_lr: First = 0.0,
        warmup_steps: WarmUp = 0,
        **options: Any,
    ):
        _check_warm_up(warmup_steps, total_steps, "the run")
        super().__init__(
            optimizer,
            t_max=total_steps,
            max_lr=_highest(optimizer, max_lr),
            min_lr=min_lr,
            init_lr=init_lr,
            warmup_steps=warmup_steps,
            **options,
        )
        self.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state: the step that comes next, and the last rate."""
        return {"step_t": self.step_t, "last_lr": self.last_lr}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self.step_t, self.last_lr = state["step_t"], list(state["last_lr"])


class LinearScheduler(WarmedUp, pytorch_optimizer.LinearScheduler):
    """A straight line up from init_lr, then one down to min_lr at the run's end."""


class CosineScheduler(WarmedUp, pytorch_optimizer.CosineScheduler):
    """A straight line up from init_lr, then half a cosine down to min_lr at the run's end."""


class PolyScheduler(WarmedUp, pytorch_optimizer.PolyScheduler):
    """A straight line up from init_lr, then higher still: the rate times the steps since then to the power of poly_order."""

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        poly_order: Annotated[float, Range(0.01, 4, log=True), "power of the steps"] = 0.5,
        max_lr: Rate = None,
        min_lr: Lowest = 0.0,
        init_lr: First = 0.0,
        warmup_steps: WarmUp = 0,
    ):
        super().__init__(optimizer, total_steps, max_lr, min_lr, init_lr, warmup_steps, poly_order=poly_order)


class REXScheduler(pytorch_optimizer.REXScheduler):
    """From the rate to min_lr at the run's end, slowly first, as (1 - x) / (1 - x / 2) (Chen et al., "REX", 2021).

    Raises:
        ValueError: groups of weights have rates that differ, where max_lr is left open.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, max_lr: Rate = None, min_lr: Lowest = 0.0):
        super().__init__(optimizer, total_steps, _highest(optimizer, max_lr), min_lr)
        self.step_t = 0
        self.step()


class CosineAnnealingWarmupRestarts(pytorch_optimizer.CosineAnnealingWarmupRestarts):
    """A straight line up, then half a cosine down to min_lr, again and again, each time from gamma times the rate before.

    Raises:
        ValueError: the warm-up is as long as a cycle; or groups of weights have rates that differ, where max_lr is left open.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        first_cycle_steps: Annotated[int | None, Steps, "steps of the first cycle; null: a quarter of the run"] = None,
        cycle_mult: Annotated[float, Range(0.1, 10, log=True), "how much longer each cycle is than the last"] = 1.0,
        max_lr: Rate = None,
        min_lr: Lowest = 1e-6,
        warmup_steps: WarmUp = 0,
        gamma: Annotated[float, Range(0.01, 1), "factor of the highest rate after each cycle"] = 0.9,
    ):
        length = max(1, total_steps // 4) if first_cycle_steps is None else first_cycle_steps
        _check_warm_up(warmup_steps, length, "a cycle")
        super().__init__(optimizer, length, cycle_mult, _highest(optimizer, max_lr), min_lr, warmup_steps, gamma)
        for group, rate in zip(optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate


def warmup_stable_decay(
    optimizer: Optimizer,
    total_steps: int,
    num_warmup_steps: Annotated[int | None, Range(0, 1_000_000_000), "steps that rise; null: a tenth of the run"] = None,
    num_decay_steps: Annotated[int | None, Range(0, 1_000_000_000), "steps that fall; null: a fifth of the run"] = None,
    min_lr_ratio: Annotated[float, Range(0, 1), "factor at the end"] = 0.0,
    num_cycles: Annotated[float, Range(0.1, 100, log=True), "cycles of a cosine's fall"] = 0.5,
    cooldown_type: Annotated[Literal["cosine", "1-sqrt", "linear", "1-square"], "shape of the fall"] = "1-sqrt",
) -> LambdaLR:
    """The rate after a warm-up, until it falls at the run's end (Hu et al., "MiniCPM", 2024).

    Raises:
        ValueError: the rise and the fall are longer than the run.
    """
    rise = total_steps // 10 if num_warmup_steps is None else num_warmup_steps
    fall = total_steps // 5 if num_decay_steps is None else num_decay_steps
    if rise + fall > total_steps:
        raise ValueError(f"num_warmup_steps={rise} and num_decay_steps={fall} are more than the run's {total_steps} steps")
    stay = total_steps - rise - fall
    made: LambdaLR = pytorch_optimizer.get_wsd_schedule(optimizer, rise, stay, fall, min_lr_ratio, num_cycles, cooldown_type)
    return made


def chebyshev(optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """From the rate up to twenty times as much and back, in the fractal order of Chebyshev nodes (Agarwal et al. 2021).

    What get_chebyshev_schedule gives, whose nodes are sorted once and not at every step.
    """
    nodes = max(1, 2 ** max(0, (total_steps - 1).bit_length()))
    factors = pytorch_optimizer.get_chebyshev_perm_steps(nodes)
    return LambdaLR(optimizer, lambda step: float(factors[min(max(step - 2, 0), nodes - 1)]))


def _highest(optimizer: Optimizer, given: float | None) -> float:
    """Return the highest rate: the given one, or the optimizer's.

    Raises:
        ValueError: it has several.
    """
    if given is not None:
        return given
    rates = {float(group["lr"]) for group in optimizer.param_groups}
    if len(rates) > 1:
        raise ValueError(
            f"it sets one rate for all weights, and the optimizer has {', '.join(f'{rate:g}' for rate in sorted(rates))}; "
            "give max_lr, or take another scheduler"
        )
    return rates.pop()


def _check_warm_up(steps: int, whole: int, what: str) -> None:
    if steps >= whole:
        raise ValueError(f"warmup_steps={steps} are no part of {what}, which has {whole} steps")
