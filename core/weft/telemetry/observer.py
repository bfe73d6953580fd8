"""Looks at a run from inside its steps: loss, gradients, weights, updates.

What it sees stays on the device, as tensors, until a flush copies all of it at once. On most steps it keeps a reference to
the loss and does nothing else. Names: `train/loss`, `train/penalty.l2`, `train/lr`, and for each parameter `grad_norm/…`,
`grad_zeros/…` (share of exact zeros), `grad_nonfinite/…` (share of NaN and infinity, where there is any), `param_norm/…`,
`update_ratio/…` (norm of the update over norm of the weights). Histograms, and the statistics of every single parameter,
are kept in the run's folder, and shown when it ends.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from weft.callback import Callback
from weft.errors import NonFiniteError
from weft.settings import Observe
from weft.telemetry import gradients, images
from weft.telemetry.diagnosis import diagnose
from weft.telemetry.looking import Looking
from weft.telemetry.tracker import MemoryTracker, Row, Tracker
from weft.telemetry.transfer import transferred

if TYPE_CHECKING:
    from weft.state import Run

log = logging.getLogger("weft")

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
        self._looking = Looking(settings)
        self._folder: Path | None = None
        self._diagnosis: dict[str, Any] = {}
        self._step = -1
        self._flushed = time.monotonic()

    def keep_in(self, folder: Path) -> None:
        """Keep images and what looks find in this folder, and show that there in the end."""
        self._folder = folder
        self._looking.keep_in(folder)

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
            raise self._non_finite(run, run.step + 1, loss)
        if self._is_due(run.step + 1):
            self._stage_rates(run)
        if self._looking.is_due(run.step + 1):
            self._looking.look(run, self.flush)

    def on_fit_start(self, run: Run) -> None:
        self._looking.begin(run.step)

    def on_epoch_start(self, run: Run) -> None:
        self._looking.begin_epoch()

    def on_step_end(self, run: Run) -> None:
        self._looking.end_step()
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

    def image(self, step: int, name: str, image: Any) -> None:
        """Keep an image, as `weft.telemetry.images` takes it. A disk that doesn't is told in the log: a run that trains is
        not to fail for its pictures.

        Raises:
            UserError: it is none.
        """
        found = images.pixels(name, image)
        if self._folder is None:
            return
        try:
            images.record(self.tracker, self._folder, name, step, found)
        except (OSError, ValueError) as error:  # also a Pillow that can't write it
            log.warning("image %s of step %d is not kept: %s", name, step, error)

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
        *numbers, seen, counts = transferred([*(row.value for row in waiting), *self._looking.seen()])
        found = iter(numbers)
        rows = [
            Row(row.step, row.timestamp, (row.key,), (float(next(found)),)) if isinstance(row, _Staged) else row
            for row in staged
        ]
        rows += self._looking.rows(run, self.tracker, seen, counts)
        self._flushed = time.monotonic()
        self.tracker.log(rows)
        traces, self._trace = self._trace, []
        for first, losses in traces:
            bad = (~losses.isfinite()).nonzero()
            if len(bad):
                index = int(bad[0])
                raise self._non_finite(run, first + index, float(losses[index]))

    def publish(self, run: Run) -> None:
        """Show what looks have found: as files in the run's folder, and in the tracker."""
        self._looking.publish(run, self.tracker, self._diagnosis)

    def state_dict(self) -> dict[str, Any]:
        """Return the losses that are not staged yet, so that a resumed run's next point is the same, and the cadence."""
        return {"losses": self._losses, "step": self._step, "looking": self._looking.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self._losses = {name: list(terms) for name, terms in state["losses"].items()}
        self._step = state["step"]
        self._looking.load_state_dict(state["looking"])

    def _is_due(self, step: int) -> bool:
        """Whether this step is recorded. The first one is: of short runs something is seen too."""
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

    def _non_finite(self, run: Run, step: int, loss: float) -> NonFiniteError:
        """Find out where it came from."""
        self._diagnosis = found = diagnose(run, step, loss)
        where = f" (batch {found['batch']} of epoch {found['epoch']}; all of it in {gradients.FOLDER}/{gradients.NON_FINITE})"
        return NonFiniteError(f"train/loss became {loss} at step {step}; first affected: {found['first']}{where}")


def _mean(terms: Sequence[Any]) -> Any:
    return torch.stack([*terms]).mean() if isinstance(terms[0], Tensor) else sum(terms) / len(terms)


def _now() -> int:
    return time.time_ns() // 1_000_000
