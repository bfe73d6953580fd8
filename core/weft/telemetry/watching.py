"""Watches a model in somebody else's loop: its gradients, weights and updates at the steps of its optimizer."""

from __future__ import annotations

import time
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from weft.telemetry.series import ParameterSeries
from weft.telemetry.tracker import Tracker
from weft.telemetry.transfer import transferred

_FLUSH_SECONDS = 0.5


class Watch:
    """Looks at a model before and after each `every`-th step of an optimizer that has a parameter of it, and the first.

    Only the loop's own thread looks and reports, at an optimizer's step and at the end.
    """

    def __init__(self, model: nn.Module, every: int, series: int, tracker: Tracker):
        self._model = model
        self._every = every
        self._most = series
        self._tracker = tracker
        self._series: ParameterSeries | None = None
        self._looks: list[tuple[int, int]] = []
        self._step = 0
        self._last = -1
        self._moving = False
        self._flushed = time.monotonic()
        self._hooks = (register_optimizer_step_pre_hook(self._before), register_optimizer_step_post_hook(self._after))

    def close(self) -> None:
        """Look no more, and report what was seen."""
        for hook in self._hooks:
            hook.remove()
        self._report()

    def _before(self, optimizer: Optimizer, *_: Any) -> None:
        own = {id(parameter) for parameter in self._model.parameters()}
        if not any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"]):
            return
        self._step += 1
        if self._step == 1 or self._step % self._every == 0:
            named = {name: p for name, p in self._model.named_parameters() if p.grad is not None and not p.grad.is_sparse}
            if named and (self._series is None or not self._series.is_of(named)):
                self._report()
                self._series = ParameterSeries(named, self._most)
            if self._series is not None and named:
                self._looks.append((self._step, time.time_ns() // 1_000_000))
                gradients = [parameter.grad for parameter in self._series.parameters]
                self._series.meter.look(gradients, follows=self._step == self._last + 1)  # type: ignore[arg-type]
                self._last = self._step
                self._moving = True

    def _after(self, optimizer: Optimizer, *_: Any) -> None:
        if self._moving and self._series is not None:
            self._series.meter.look_again()
            self._moving = False
        if self._looks and time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self._report()

    def _report(self) -> None:
        self._flushed = time.monotonic()
        if self._series is not None and self._looks:
            if self._moving:  # a step that was broken off
                self._series.meter.look_again()
                self._moving = False
            looks, self._looks = self._looks, []
            (seen,) = transferred([self._series.meter.take()])
            self._tracker.log(list(self._series.rows(looks, seen)))
