"""Looks at gradients, weights and updates: at which steps, at which parameters, and what becomes of it.

A look is taken in two halves, before the update and after it. What it found stays on the device until the observer's next
flush; then it becomes rows for the tracker, is kept in the run's folder, and shown there when the run ends.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from weft.settings import Observe
from weft.telemetry import gradients
from weft.telemetry.cadence import Budget, HostTimer, Thinning, Timer, timer
from weft.telemetry.diagnosis import position
from weft.telemetry.looks import Forgetting, Keeper, Looks
from weft.telemetry.series import ParameterSeries
from weft.telemetry.tracker import Row, Tracker

if TYPE_CHECKING:
    from weft.state import Run

log = logging.getLogger("weft")

_RARE = 8
"""Looks from one histogram to the next, at which histograms cost little beside them."""


class Looking:
    """The looks of one run."""

    def __init__(self, settings: Observe):
        self._settings = settings
        self._series: ParameterSeries | None = None
        self._is_new_epoch = True
        self._looks: list[tuple[int, int]] = []
        self._counted: list[int] = []
        self._moving = False
        self._last = -1
        self._folder: Path | None = None
        self._keeper: Keeper = Forgetting()
        self._thinning = Thinning(settings.histograms or 1)
        self._budget = Budget(math.inf if settings.budget is None else settings.budget)
        self._timer: Timer = HostTimer()
        self._ticked = self._training = 0.0
        self._has_warned = self._has_said = False

    def keep_in(self, folder: Path) -> None:
        """Keep what looks find in this folder, and show it there in the end."""
        self._folder, self._keeper = folder, Looks(folder)

    def begin(self, step: int) -> None:
        """Begin after this step."""
        self._keeper.begin(step)

    def begin_epoch(self) -> None:
        """Note that a callback may have given the model other parameters."""
        self._is_new_epoch = True
        self._ticked = time.perf_counter()

    def is_due(self, step: int) -> bool:
        """Whether this step is looked at. The first one is: short runs are looked at too."""
        distance = self._settings.every * self._budget.factor
        return self._settings.gradients and (step == 1 or step % distance == 0)

    def look(self, run: Run, flush: Callable[[Run], None]) -> None:
        """Look at this step's gradients, and at the weights, until the update is done. Parameters that have changed are looked
        at when what is known of the old ones was flushed."""
        if self._is_new_epoch:
            self._is_new_epoch = False
            self._find_parameters(run, flush)
        if self._series is None:
            return
        found = [parameter.grad for parameter in self._series.parameters]
        if all(gradient is not None for gradient in found):  # else: a part of the model that this step did not use
            step = run.step + 1
            with self._timer:
                is_counted = self._settings.histograms is not None and self._thinning.take(step)
                self._counted += [step] * is_counted
                self._looks.append((step, time.time_ns() // 1_000_000))
                self._series.meter.look(found, is_counted, follows=step == self._last + 1)  # type: ignore[arg-type]
            self._moving, self._last = True, step

    def look_again(self) -> None:
        """Look at the update, if this step is looked at."""
        if self._moving and self._series is not None:
            with self._timer:
                self._series.meter.look_again()
        self._moving = False

    def end_step(self) -> None:
        """Count the time of a step, with all that was done in it."""
        self.look_again()
        now = time.perf_counter()
        self._training, self._ticked = self._training + now - self._ticked, now

    def seen(self) -> tuple[Tensor, Tensor]:
        """Return what was seen and what was counted since the last time, on the device. A step that was broken off is looked at
        as it is. Counts are returned as if they were float32, bit by bit: so they travel in the transfer that there is."""
        self.look_again()
        if self._series is None or not self._looks:
            return torch.empty(0), torch.empty(0)
        with self._timer:
            return self._series.meter.take(), self._series.meter.counts().view(torch.float32)

    def rows(self, run: Run, tracker: Tracker, seen: NDArray[np.floating], counts: NDArray[np.floating]) -> list[Row]:
        """Return the rows of what was seen, when it has been kept."""
        looks, self._looks = self._looks, []
        counted, self._counted = self._counted, []
        if self._series is None or not looks:
            return []
        with self._timer:
            rows = [*self._series.rows(looks, seen)]
            self._keeper.add(self._series.subject, self._series.found(looks, seen, counted, counts.view(np.int32)))
        self._warn(run, rows)
        self._settle(run, tracker, len(looks))
        return rows

    def publish(self, run: Run, tracker: Tracker, non_finite: Mapping[str, Any]) -> None:
        """Write what was kept as files that people look at, and hand them to the tracker. What fails is said, not raised."""
        try:
            record = self._keeper.read(self._thinning.steps)
            found = {**non_finite, **_non_finite_gradient(run, gradients.first_bad_gradient(record))}
            if self._folder is not None and (record is not None or found):
                folder = self._folder / gradients.FOLDER
                chosen = run.configuration.params()
                title = " · ".join(chosen[kind] for kind in ("model", "optimizer", "dataset"))
                gradients.write(folder, title, record, found)
                tracker.artifact(folder, gradients.FOLDER)
        except Exception as error:  # a run that was trained is not to fail for its pictures
            log.warning("gradients can't be shown: %s: %s", type(error).__name__, error)

    def state_dict(self) -> dict[str, Any]:
        """Return the cadence, so that a resumed run is looked at when it would have been."""
        histograms = {"distance": self._thinning.distance, "steps": list(self._thinning.steps)}
        return {"histograms": histograms, "factor": self._budget.factor}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self._thinning = Thinning(**state["histograms"])
        self._budget.factor = state["factor"]

    def _find_parameters(self, run: Run, flush: Callable[[Run], None]) -> None:
        """Look at the parameters that have a gradient now."""
        named = {n: p for n, p in run.model.named_parameters() if p.grad is not None and p.grad.layout is torch.strided}
        if self._series is None or not self._series.is_of(named):
            flush(run)
            self._series = ParameterSeries(named, self._settings.series) if named else None
            self._timer = timer(run.device.device)

    def _warn(self, run: Run, rows: Sequence[Row]) -> None:
        """Say once that a gradient isn't finite. Under loss scaling that is to be expected: such steps are left out."""
        if self._has_warned or run.configuration.settings.precision == "fp16":
            return
        for row in rows:
            for key in row.keys:
                if key.startswith("grad_nonfinite/") and not self._has_warned:
                    self._has_warned = True
                    epoch, batch = position(run, row.step)
                    where = f"step {row.step} (batch {batch + 1} of epoch {epoch + 1})"
                    log.warning("the gradient of %s holds NaN or infinity at %s", key.partition("/")[2], where)

    def _settle(self, run: Run, tracker: Tracker, looks: int) -> None:
        """Keep to the budget: histograms become rarer first, then looks. That is said once in the log, and in the tags."""
        training, self._training, before = self._training, 0.0, self._budget.factor
        if not self._budget.settle(self._timer.take(), training, looks):
            return
        rare = _RARE * self._settings.every * before
        if self._budget.factor > before and self._settings.histograms is not None and self._thinning.distance < rare:
            self._budget.factor = before
            while self._thinning.distance < rare:
                self._thinning.widen()
            said = f"histograms every {self._thinning.distance} steps"
        else:
            said = f"every {self._settings.every * self._budget.factor} steps instead of {self._settings.every}"
        if not self._has_said:
            self._has_said = True
            share = f"more than observe.budget={self._budget.share:g} of the training time"
            log.warning("looking at gradients takes %s: from step %d on %s", share, run.step, said)
        tracker.tag({"weft.observe": f"{said} from step {run.step} on"})


def _non_finite_gradient(run: Run, first: tuple[int, list[str]] | None) -> dict[str, Any]:
    """Return the first look that saw a gradient that is not finite, as JSON's types."""
    if first is None:
        return {}
    (step, parameters), (epoch, batch) = first, position(run, first[0])
    return {"gradient": {"step": step, "epoch": epoch + 1, "batch": batch + 1, "parameters": parameters}}
