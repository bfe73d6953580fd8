"""Schedules that raise the learning rate before they lower it, on any optimizer.

torch's also move the momentum, and refuse an optimizer that has none; these move it where there is one.
"""

from typing import Annotated, Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from weft import Range

_Momentum = Annotated[float, Range(0, 1)]


class Cyclic(CyclicLR):
    """From the optimizer's learning rate up to `factor` times it and back, again and again (Smith 2017)."""

    def __init__(
        self,
        optimizer: Optimizer,
        factor: Annotated[float, Range(1, 1e6, log=True), "highest rate over the optimizer's own"] = 10.0,
        step_size_up: Annotated[int, Range(1, 2**31), "steps of a rise"] = 200,
        step_size_down: Annotated[int | None, Range(1, 2**31), "steps of a fall; null is as many"] = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: Annotated[float, Range(0, 1), "of exp_range"] = 1.0,
        cycle_momentum: Annotated[bool, "move the momentum against the rate"] = True,
        base_momentum: _Momentum = 0.8,
        max_momentum: _Momentum = 0.9,
    ):
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        super().__init__(
            optimizer,
            rates,
            [rate * factor for rate in rates],
            step_size_up,
            step_size_down,
            mode,
            gamma,
            cycle_momentum=cycle_momentum and _has_momentum(optimizer),
            base_momentum=base_momentum,
            max_momentum=max_momentum,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state without the scaling function, which follows from the options."""
        return {name: value for name, value in super().state_dict().items() if not name.startswith("_scale_fn")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back; the scaling function stays."""
        self.__dict__.update(state)


class OneCycle(OneCycleLR):
    """Up to the optimizer's learning rate, then down to almost nothing, once over the run (Smith and Topin 2018)."""

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        pct_start: Annotated[float, Range(0, 1), "share of the run spent rising"] = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: Annotated[bool, "move the momentum against the rate"] = True,
        base_momentum: _Momentum = 0.85,
        max_momentum: _Momentum = 0.95,
        div_factor: Annotated[float, Range(1, 1e6, log=True), "highest rate over the first"] = 25.0,
        final_div_factor: Annotated[float, Range(1, 1e9, log=True), "first rate over the last"] = 1e4,
        three_phase: bool = False,
    ):
        super().__init__(
            optimizer,
            [float(group["lr"]) for group in optimizer.param_groups],
            total_steps + 1,  # it is stepped after the last step too
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
    return "momentum" in optimizer.defaults or "betas" in optimizer.defaults
