"""Optimizers that draw random numbers, from generators of their own: dropout is the same with another optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

_SEEDS = 2**31


class Drawing(Optimizer):
    """What such an optimizer is mixed with. Each step has a seed that follows from the run's and the step's number; the closure
    within it draws from the process's generators, as it would anyway."""

    def __init__(self, *given: Any, **options: Any):
        self._seed = int(torch.randint(_SEEDS, (1,)))
        self._steps = 0
        super().__init__(*given, **options)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all weights; `closure`, where there is one, leaves their gradients."""
        devices = {weight.device for group in self.param_groups for weight in group["params"] if weight.is_cuda}
        outside = _states(devices)

        def undisturbed() -> Any:
            nonlocal outside
            own = _states(devices)
            _restore(outside)
            loss = closure() if closure is not None else None
            outside = _states(devices)
            _restore(own)
            return loss

        seed = (self._seed + self._steps) % _SEEDS
        torch.manual_seed(seed)
        np.random.seed(seed)
        self._steps += 1
        try:
            return super().step(undisturbed if closure is not None else None)
        finally:
            _restore(outside)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, with what the next step draws from."""
        return {**super().state_dict(), "drawing": [self._seed, self._steps]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take it back."""
        self._seed, self._steps = state_dict["drawing"]
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "drawing"})


def _states(devices: set[torch.device]) -> tuple[Any, ...]:
    cuda = {device: torch.cuda.get_rng_state(device) for device in devices}
    return torch.get_rng_state(), cuda, np.random.get_state()


def _restore(states: tuple[Any, ...]) -> None:
    own, cuda, numpy = states
    torch.set_rng_state(own)
    for device, state in cuda.items():
        torch.cuda.set_rng_state(state, device)
    np.random.set_state(numpy)
