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
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from weft.callback import Callback
from weft.errors import NonFiniteError
from weft.settings import Observe
from weft.telemetry.tracker import MemoryTracker, Point, Tracker

if TYPE_CHECKING:
    from weft.state import Run

_FLUSH_SECONDS = 0.5
_FLUSH_ROWS = 256


class Observer(Callback):
    """Stages rows of values, one transfer a flush, and hands them to a tracker as points."""

    def __init__(self, settings: Observe, tracker: Tracker | None = None):
        self.tracker: Tracker = tracker or MemoryTracker()
        self._settings = settings
        self._rows: list[tuple[int, Sequence[str], Sequence[Any]]] = []
        self._losses: dict[str, list[Tensor]] = {}
        self._trace: list[tuple[int, Tensor]] = []
        self._before: Sequence[Tensor] = ()
        self._layout: _Layout | None = None
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
        loss = terms["loss"]
        if loss.device.type == "cpu" and not math.isfinite(loss.item()):
            raise _non_finite(run.model, run.step + 1, loss.item())
        for name, term in terms.items():
            self._losses.setdefault(name, []).append(term)
        if self._is_due(run.step + 1):
            self._stage_rates(run)
            if self._settings.gradients:
                self._look(run)

    def on_step_end(self, run: Run) -> None:
        if self._before:
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
        self._rows.append((step, list(values), list(values.values())))

    def flush_when_due(self, run: Run) -> None:
        """Flush when enough has come together, or enough time has passed."""
        if len(self._rows) >= _FLUSH_ROWS or time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self.flush(run)

    def flush(self, run: Run) -> None:
        """Copy all staged values from the device in one transfer, and hand them to the tracker.

        Raises:
            NonFiniteError: a loss among them was NaN or infinite; the values before it have been handed over.
        """
        rows, self._rows = self._rows, []
        tensors = [value for _, _, values in rows for value in values if isinstance(value, Tensor)]
        numbers = iter(torch.cat([tensor.reshape(-1) for tensor in tensors]).tolist() if tensors else ())
        now = time.time_ns() // 1_000_000
        points = []
        for step, keys, values in rows:
            flat = (
                number
                for value in values
                for number in ([next(numbers) for _ in range(value.numel())] if isinstance(value, Tensor) else [value])
            )
            points += [
                Point(key, float(number), step, now)
                for key, number in zip(keys, flat, strict=True)
                if number or not key.startswith("grad_nonfinite/")
            ]
        self._flushed = time.monotonic()
        self.tracker.log(points)
        traces, self._trace = self._trace, []
        for first, losses in traces:
            bad = (~losses.isfinite()).nonzero()
            if len(bad):
                index = int(bad[0])
                raise _non_finite(run.model, first + index, float(losses[index]))

    def state_dict(self) -> dict[str, Any]:
        """Return the losses that are not staged yet, so that a resumed run's next point is the same."""
        return {"losses": {name: torch.stack(terms) for name, terms in self._losses.items()}, "step": self._step}

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
        stacked = {name: torch.stack(terms) for name, terms in losses.items()}
        if stacked:
            self.stage(run.step, {f"train/{name}": terms.mean() for name, terms in stacked.items()})
            if stacked["loss"].device.type != "cpu":
                self._trace.append((run.step - len(stacked["loss"]) + 1, stacked["loss"]))
        self.flush_when_due(run)

    def _stage_rates(self, run: Run) -> None:
        rates = [float(group["lr"]) for group in run.optimizer.param_groups if "lr" in group]
        several = len(rates) > 1
        self.stage(run.step + 1, {f"train/lr.{index}" if several else "train/lr": r for index, r in enumerate(rates)})

    def _look(self, run: Run) -> None:
        """Stage this step's gradient statistics, and keep the weights until the update is done."""
        named = [(name, p) for name, p in run.model.named_parameters() if p.grad is not None]
        if not named:
            return
        names = [name for name, _ in named]
        if self._layout is None or self._layout.names != names:
            self._layout = _Layout([p for _, p in named], names, self._settings.series)
        layout = self._layout
        grads = [p.grad for _, p in named if p.grad is not None]
        norms = torch.stack(torch._foreach_norm(grads))
        zeros = torch.stack([grad.numel() - grad.count_nonzero() for grad in grads])
        finite = torch.stack([grad.isfinite().sum() for grad in grads])
        self._rows.append(
            (
                run.step + 1,
                layout.gradient_keys,
                [layout.lengths(norms), layout.shares(zeros), layout.shares(layout.sizes - finite)],
            )
        )
        layout.parameters = [p.detach() for _, p in named]
        self._before = torch._foreach_mul(layout.parameters, 1.0)

    def _look_at_update(self, step: int) -> None:
        assert self._layout is not None
        layout, before = self._layout, self._before
        self._before = ()
        lengths = torch.stack(torch._foreach_norm(list(before)))
        changes = torch.stack(torch._foreach_norm(torch._foreach_sub(layout.parameters, list(before))))
        weights, updates = layout.lengths(lengths), layout.lengths(changes)
        ratios = updates / weights.clamp_min(torch.finfo(weights.dtype).tiny)
        self._rows.append((step, layout.weight_keys, [weights, ratios]))
        layout.parameters = []


class _Layout:
    """Which parameters make up which series: one each, or taken together by module where they are too many."""

    def __init__(self, parameters: Sequence[Tensor], names: list[str], series: int):
        self.names = names
        self.parameters: list[Tensor] = []
        device = parameters[0].device
        self.sizes = torch.tensor([parameter.numel() for parameter in parameters], device=device)
        labels = _together(names, series)
        distinct = list(dict.fromkeys(labels))
        self._group = None
        if distinct != names:
            self._group = torch.tensor([distinct.index(label) for label in labels], device=device)
        self._count = len(distinct)
        self._group_sizes = self._summed(self.sizes)
        self.gradient_keys = [f"{s}/{n}" for s in ("grad_norm", "grad_zeros", "grad_nonfinite") for n in distinct]
        self.weight_keys = [f"{s}/{n}" for s in ("param_norm", "update_ratio") for n in distinct]

    def lengths(self, norms: Tensor) -> Tensor:
        """Return the norm of each series from the norms of its parameters."""
        return norms if self._group is None else self._summed(norms.square()).sqrt()

    def shares(self, counts: Tensor) -> Tensor:
        """Return the share of each series' elements from the counts in its parameters."""
        return self._summed(counts) / self._group_sizes

    def _summed(self, values: Tensor) -> Tensor:
        if self._group is None:
            return values
        return torch.zeros(self._count, dtype=values.dtype, device=values.device).index_add_(0, self._group, values)


def _together(names: list[str], series: int) -> list[str]:
    """Return a label for each parameter, at most `series` different ones: the longest leading parts of names that do."""
    for depth in range(max(name.count(".") for name in names) + 1, 0, -1):
        labels = [".".join(name.split(".")[:depth]) for name in names]
        if len(set(labels)) <= series:
            return labels
    return ["all"] * len(names)


def _non_finite(model: nn.Module, step: int, value: float) -> NonFiniteError:
    """Name the first parameter that is affected: its weights when any are, else its gradient."""
    affected = [
        *(f"the weights of {name}" for name, p in model.named_parameters() if not p.isfinite().all()),
        *(
            f"the gradient of {name}"
            for name, p in model.named_parameters()
            if p.grad is not None and not p.grad.isfinite().all()
        ),
    ]
    where = f"; first affected: {affected[0]}" if affected else "; weights and gradients are still finite"
    return NonFiniteError(f"train/loss became {value} at step {step}{where}")
