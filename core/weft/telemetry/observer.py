"""Looks at a run from inside its steps: loss, gradients, weights, updates.

What it sees stays on the device, as tensors, until a flush copies all of it at once. On most steps it keeps a reference to
the loss and does nothing else. Names: `train/loss`, `train/penalty.l2`, `train/lr`, and for each parameter `grad_norm/…`,
`grad_zeros/…` (share of exact zeros), `grad_nonfinite/…` (share of NaN and infinity, where there is any), `param_norm/…`,
`update_ratio/…` (length of the update over length of the weights).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from weft.callback import Callback
from weft.errors import NonFiniteError
from weft.settings import Observe
from weft.telemetry.series import ParameterSeries
from weft.telemetry.tracker import MemoryTracker, Row, Tracker
from weft.telemetry.transfer import transferred

if TYPE_CHECKING:
    from weft.state import Run

_FLUSH_SECONDS = 0.5
_FLUSH_ROWS = 256


class _Staged(NamedTuple):
    """A value that is on the device still."""

    step: int
    timestamp: int
    key: str
    value: Tensor


class Observer(Callback):
    """Stages rows, copies their numbers in one transfer a flush, and hands them to a tracker."""

    def __init__(self, settings: Observe, tracker: Tracker | None = None):
        self.tracker: Tracker = tracker or MemoryTracker()
        self._settings = settings
        self._staged: list[_Staged | Row] = []
        self._losses: dict[str, list[Any]] = {}
        self._trace: list[tuple[int, Tensor]] = []
        self._series: ParameterSeries | None = None
        self._is_new_epoch = True
        self._looks: list[tuple[int, int]] = []
        self._moving = False
        self._step = -1
        self._flushed = time.monotonic()

    def observe(self, run: Run, terms: Mapping[str, Tensor]) -> None:
        """Take a step's loss and penalties, and on some steps its gradients. Of an optimizer that evaluates the loss
        several times a step, the first time counts.

        Raises:
            NonFiniteError: the loss is NaN or infinite. On an accelerator that is noticed at the next flush.
        """
        if run.step == self._step:
            return
        self._step = run.step
        for name, term in terms.items():
            self._losses.setdefault(name, []).append(term.item() if term.device.type == "cpu" else term)
        loss = self._losses["loss"][-1]
        if not isinstance(loss, Tensor) and not math.isfinite(loss):
            raise _non_finite(run.model, run.step + 1, loss)
        if self._is_due(run.step + 1):
            self._stage_rates(run)
            if self._settings.gradients:
                self._look(run)

    def on_epoch_start(self, run: Run) -> None:
        self._is_new_epoch = True

    def on_step_end(self, run: Run) -> None:
        self._look_at_update()
        if self._is_due(run.step):
            self._stage_losses(run)

    def on_epoch_end(self, run: Run) -> None:
        self._stage_losses(run)
        self.stage(run.step, run.scores)
        self.flush_when_due(run)

    def on_fit_end(self, run: Run) -> None:
        self.flush(run)

    def stage(self, step: int, values: Mapping[str, float | Tensor]) -> None:
        """Keep values for the next flush."""
        numbers = {key: float(value) for key, value in values.items() if not isinstance(value, Tensor)}
        tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
        if numbers:
            self._staged.append(Row(step, _now(), [*numbers], [*numbers.values()]))
        for key, value in tensors.items():
            self._staged.append(_Staged(step, _now(), key, value.detach()))

    def flush_when_due(self, run: Run) -> None:
        """Flush when enough has come together, or enough time has passed."""
        if len(self._staged) >= _FLUSH_ROWS or time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self.flush(run)

    def flush(self, run: Run) -> None:
        """Copy all staged numbers from the device in one transfer, and hand the rows to the tracker.

        Raises:
            NonFiniteError: a loss among them was NaN or infinite; the rows have been handed over.
        """
        staged, self._staged = self._staged, []
        waiting = [row for row in staged if isinstance(row, _Staged)]
        *numbers, seen = transferred([*(row.value for row in waiting), self._seen()])
        found = iter(numbers)
        rows = [
            Row(row.step, row.timestamp, (row.key,), (float(next(found)),)) if isinstance(row, _Staged) else row
            for row in staged
        ]
        if self._series is not None:
            rows += self._series.rows(self._looks, seen)
            self._looks = []
        self._flushed = time.monotonic()
        self.tracker.log(rows)
        traces, self._trace = self._trace, []
        for first, losses in traces:
            bad = (~losses.isfinite()).nonzero()
            if len(bad):
                index = int(bad[0])
                raise _non_finite(run.model, first + index, float(losses[index]))

    def state_dict(self) -> dict[str, Any]:
        """Return the losses that are not staged yet, so that a resumed run's next point is the same."""
        return {"losses": self._losses, "step": self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self._losses = {name: list(terms) for name, terms in state["losses"].items()}
        self._step = state["step"]

    def _is_due(self, step: int) -> bool:
        """Whether this step is recorded. The first one is: short runs are looked at too."""
        return step == 1 or step % self._settings.every == 0

    def _stage_losses(self, run: Run) -> None:
        """Stage the mean since the last time."""
        losses, self._losses = self._losses, {}
        if losses:
            first = losses["loss"][0]
            if isinstance(first, Tensor):
                self._trace.append((run.step - len(losses["loss"]) + 1, torch.stack(losses["loss"])))
            self.stage(run.step, {f"train/{name}": _mean(terms) for name, terms in losses.items()})
        self.flush_when_due(run)

    def _stage_rates(self, run: Run) -> None:
        rates = [float(group["lr"]) for group in run.optimizer.param_groups if "lr" in group]
        keys = ["train/lr"] if len(rates) == 1 else [f"train/lr.{index}" for index in range(len(rates))]
        self._staged.append(Row(run.step + 1, _now(), keys, rates))

    def _look(self, run: Run) -> None:
        """Look at this step's gradients, and at the weights, until the update is done."""
        if self._is_new_epoch:  # a callback may have given the model other parameters
            self._is_new_epoch = False
            self._find_parameters(run)
        if self._series is None:
            return
        gradients = [parameter.grad for parameter in self._series.parameters]
        if all(gradient is not None for gradient in gradients):  # else: a part of the model that this step did not use
            self._looks.append((run.step + 1, _now()))
            self._series.meter.look(gradients)  # type: ignore[arg-type]
            self._moving = True

    def _look_at_update(self) -> None:
        if self._moving and self._series is not None:
            self._series.meter.look_again()
        self._moving = False

    def _find_parameters(self, run: Run) -> None:
        """Look at the parameters that have a gradient now."""
        named = {n: p for n, p in run.model.named_parameters() if p.grad is not None and p.grad.layout is torch.strided}
        if self._series is None or not self._series.is_of(named):
            self.flush(run)
            self._series = ParameterSeries(named, self._settings.series) if named else None

    def _seen(self) -> Tensor:
        """Return what the meter has seen. A step that was broken off is looked at as it is."""
        self._look_at_update()
        return torch.empty(0) if self._series is None else self._series.meter.take()


def _mean(terms: Sequence[Any]) -> Any:
    return torch.stack([*terms]).mean() if isinstance(terms[0], Tensor) else sum(terms) / len(terms)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _non_finite(model: nn.Module, step: int, value: float) -> NonFiniteError:
    """Name the first parameter that is affected: its weights when any are, else its gradient, else the largest weights."""
    affected = [
        *(f"the weights of {name}" for name, p in model.named_parameters() if not p.isfinite().all()),
        *(
            f"the gradient of {name}"
            for name, p in model.named_parameters()
            if p.grad is not None and not p.grad.isfinite().all()
        ),
    ]
    if not affected:
        sizes = {name: float(p.detach().abs().max()) for name, p in model.named_parameters()}
        largest = max(sizes, key=lambda name: sizes[name])
        affected.append(f"none yet, but the weights of {largest} have grown to {sizes[largest]:.3g}")
    return NonFiniteError(f"train/loss became {value} at step {step}; first affected: {affected[0]}")
