"""Looks at a run from inside its steps: loss, gradients, weights, updates.

What it sees stays on the device, as tensors, until a flush copies all of it at once. On most steps it keeps a reference to
the loss and does nothing else. Names: `train/loss`, `train/penalty.l2`, `train/lr`, and for each parameter `grad_norm/…`,
`grad_zeros/…` (share of exact zeros), `grad_nonfinite/…` (share of NaN and infinity, where there is any), `param_norm/…`,
`update_ratio/…` (length of the update over length of the weights).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from weft.callback import Callback
from weft.errors import NonFiniteError
from weft.settings import Observe
from weft.telemetry.statistics import Numbers, meter
from weft.telemetry.tracker import MemoryTracker, Row, Tracker

if TYPE_CHECKING:
    from weft.state import Run

_FLUSH_SECONDS = 0.5
_FLUSH_ROWS = 256


Finish = Callable[[list[float]], tuple[Sequence[str], Sequence[float]]]


class _Staged(NamedTuple):
    """A row whose numbers are on the device still: `finish` makes its series of them when they have come."""

    step: int
    numbers: Sequence[Tensor]
    finish: Finish


class Observer(Callback):
    """Stages rows, copies their numbers in one transfer a flush, and hands them to a tracker."""

    def __init__(self, settings: Observe, tracker: Tracker | None = None):
        self.tracker: Tracker = tracker or MemoryTracker()
        self._settings = settings
        self._staged: list[_Staged | Row] = []
        self._losses: dict[str, list[Any]] = {}
        self._trace: list[tuple[int, Tensor]] = []
        self._layout: _Layout | None = None
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
        self._layout = None  # a callback may have given the model other parameters

    def on_step_end(self, run: Run) -> None:
        if self._moving:
            self._look_at_update(run.step)
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
            self._staged.append(_Staged(step, [value.detach().reshape(())], lambda found, key=key: ((key,), found)))  # type: ignore[misc]

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
        tensors = [number for row in staged if isinstance(row, _Staged) for number in row.numbers]
        numbers = _transferred(tensors)
        now, start = _now(), 0
        rows = []
        for row in staged:
            if isinstance(row, _Staged):
                end = start + len(row.numbers)
                row = Row(row.step, now, *row.finish(numbers[start:end]))
                start = end
            rows.append(row)
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
        """Stage this step's gradient statistics, and keep the weights until the update is done."""
        if self._layout is None:
            self._layout = _Layout(run.model, self._settings.series)
        layout = self._layout
        gradients = [p.grad for p in layout.parameters if p.grad is not None and p.grad.layout is torch.strided]
        if not gradients or len(gradients) != len(layout.parameters):
            return  # a part of the model that this step did not use: next epoch's layout may be without it
        self._stage_found(run.step + 1, layout.meter.gradients(gradients), layout.gradients)
        layout.meter.keep()
        self._moving = True

    def _look_at_update(self, step: int) -> None:
        self._moving = False
        if self._layout is not None:
            self._stage_found(step, self._layout.meter.updates(), self._layout.updates)

    def _stage_found(self, step: int, found: Numbers, finish: Finish) -> None:
        """Stage numbers that are here already as the row they make, others as what is to be transferred."""
        if isinstance(found[0], Tensor):
            self._staged.append(_Staged(step, found, finish))
        else:
            self._staged.append(Row(step, _now(), *finish(found)))


class _Layout:
    """Which parameters make up which series: one each, or taken together by module where they are too many.

    Only parameters that had a gradient when it was made.
    """

    def __init__(self, model: nn.Module, series: int):
        named = [(n, p) for n, p in model.named_parameters() if p.grad is not None and p.grad.layout is torch.strided]
        self.parameters = [parameter for _, parameter in named]
        self.meter = meter(self.parameters)
        labels = _together([name for name, _ in named], series)
        names = list(dict.fromkeys(labels))
        self._groups = [names.index(label) for label in labels] if len(names) < len(labels) else None
        self._count = len(names)
        self._each = [parameter.numel() for parameter in self.parameters]
        self._sizes = self._sums([float(size) for size in self._each])
        self._keys = {
            statistic: [f"{statistic}/{name}" for name in names]
            for statistic in ("grad_norm", "grad_zeros", "grad_nonfinite", "param_norm", "update_ratio")
        }

    def gradients(self, found: list[float]) -> tuple[Sequence[str], Sequence[float]]:
        """Return the series of norms, numbers of elements that aren't zero, and where it was asked, of finite ones."""
        count = len(self._each)
        keys = [*self._keys["grad_norm"], *self._keys["grad_zeros"]]
        values = [*self._lengths(found[:count]), *self._missing(found[count : 2 * count])]
        for key, share in zip(self._keys["grad_nonfinite"], self._missing(found[2 * count :]), strict=False):
            if share:
                keys.append(key)
                values.append(share)
        return keys, values

    def updates(self, found: list[float]) -> tuple[Sequence[str], Sequence[float]]:
        """Return the series of the norms of weights and of their updates."""
        count = len(self._each)
        weights, changes = self._lengths(found[:count]), self._lengths(found[count:])
        ratios = [
            change / weight if weight else math.inf if change else 0.0 for change, weight in zip(changes, weights, strict=True)
        ]
        return [*self._keys["param_norm"], *self._keys["update_ratio"]], [*weights, *ratios]

    def _lengths(self, norms: list[float]) -> list[float]:
        return norms if self._groups is None else [total**0.5 for total in self._sums([norm * norm for norm in norms])]

    def _missing(self, counts: list[float]) -> list[float]:
        """Return the share of each series' elements that was not counted."""
        return [1.0 - count / size for count, size in zip(self._sums(counts), self._sizes, strict=False)] if counts else []

    def _sums(self, values: list[float]) -> list[float]:
        if self._groups is None:
            return values
        sums = [0.0] * self._count
        for group, value in zip(self._groups, values, strict=True):
            sums[group] += value
        return sums


def _mean(terms: Sequence[Any]) -> Any:
    return torch.stack([*terms]).mean() if isinstance(terms[0], Tensor) else sum(terms) / len(terms)


def _transferred(tensors: list[Tensor]) -> list[float]:
    """Return the values of tensors without dimensions. Each type of number is one transfer, and there is mostly one."""
    places: dict[torch.dtype, list[int]] = {}
    for place, tensor in enumerate(tensors):
        places.setdefault(tensor.dtype, []).append(place)
    found = [0.0] * len(tensors)
    for chosen in places.values():
        for place, value in zip(chosen, torch.stack([tensors[place] for place in chosen]).tolist(), strict=True):
            found[place] = value
    return found


def _now() -> int:
    return time.time_ns() // 1_000_000


def _together(names: list[str], series: int) -> list[str]:
    """Return a label for each parameter, at most `series` different ones: the longest leading parts of names that do."""
    for depth in range(max(name.count(".") for name in names) + 1, 0, -1):
        labels = [".".join(name.split(".")[:depth]) for name in names]
        if len(set(labels)) <= series:
            return labels
    return ["all"] * len(names)


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
