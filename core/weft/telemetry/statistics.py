"""Norms and counts of many tensors at once, as cheaply as where they are allows.

Gradients and weights in memory are copied aside at each step, and measured many steps at a time: for a small model arithmetic
costs less than calling it, and a call in the middle of a step takes three times as long as one in a row of them. All else is
measured at once by torch's foreach operations: their results stay on the device, and nothing waits for it. Histograms are
counted, on the looks that ask for them, from the same copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from weft.telemetry.histograms import BINS, counted, counted_parts, first_bins

_ROWS = 32
_ROOM = 2**18  # numbers of several steps that are kept aside, three times: 3 MB of float32
_LARGEST = 2**20  # numbers of one step: beyond that, what torch does in several threads is faster, and takes less memory
_ALIGNED = 16  # numbers: all rows lie the same way in memory, so that the same sums give the same bits


class Meter(Protocol):
    """Looks at gradients, and at how far weights move in between."""

    def look(self, gradients: Sequence[Tensor], counting: bool = False, follows: bool = False) -> None:
        """Look at each weight's gradient, and remember the weights as they are; count the elements too when asked. `follows`
        says that no step has been made since the last look at an update: it is not seen by the weights, as fused optimizers
        change them behind autograd's back."""
        ...

    def look_again(self) -> None:
        """Look at the weights that were remembered, when they have been updated."""
        ...

    def take(self) -> Tensor:
        """Return what was seen since the last time, a row for each pair of looks: of each gradient the norm; of each the number
        of elements that aren't zero; of each the number that are NaN or infinite; of each weight the norm; of each weight
        the norm of its update."""
        ...

    def counts(self) -> Tensor:
        """Return what was counted since the last time, after `take`: [looks that asked for it, 3, weights, 513] of int32, the
        counts of each gradient, of each weight before its update, of each update."""
        ...


def meter(weights: Sequence[Tensor]) -> Meter:
    """Return the meter for these weights, which are read where they are from then on."""
    kinds = {(weight.device.type, weight.dtype) for weight in weights}
    is_small = 0 < sum(weight.numel() for weight in weights) <= _LARGEST
    return InMemory(weights) if is_small and kinds in _IN_MEMORY else OnDevice(weights)


_IN_MEMORY: tuple[set[Any], ...] = ({("cpu", torch.float32)}, {("cpu", torch.float64)})


class OnDevice:
    """By foreach operations, at once."""

    def __init__(self, weights: Sequence[Tensor]):
        self._weights = list(weights)
        self._before = [torch.empty_like(weight) for weight in weights]
        self._seen: list[Tensor] = []
        self._counting = False
        self._counted: list[Tensor] = []

    def look(self, gradients: Sequence[Tensor], counting: bool = False, follows: bool = False) -> None:
        self._counting = counting
        torch._foreach_copy_(self._before, [weight.detach() for weight in self._weights])
        nothing = torch._foreach_mul(list(gradients), 0)  # but of NaN and infinity, which makes NaN
        self._seen += [*_norms(gradients, 2), *_norms(gradients, 0), *_norms(nothing, 0)]
        if counting:
            self._counted += [*map(counted, gradients), *map(counted, self._before)]

    def look_again(self) -> None:
        lengths = _norms(self._before, 2)
        torch._foreach_sub_(self._before, [weight.detach() for weight in self._weights])
        self._seen += [*lengths, *_norms(self._before, 2)]
        if self._counting:
            self._counted += [counted(-move) for move in self._before]

    def take(self) -> Tensor:
        seen, self._seen = self._seen, []
        return torch.stack(seen).view(-1, 5 * len(self._weights)) if seen else torch.empty(0, 5 * len(self._weights))

    def counts(self) -> Tensor:
        counts, self._counted = self._counted, []
        return _stacked(counts, len(self._weights), self._weights[0].device)


class InMemory:
    """By NumPy, on copies: row after row, each with all tensors one after the other. The weights after one update are those
    before the next, unless a step came between them or somebody else has changed them."""

    def __init__(self, weights: Sequence[Tensor]):
        self._weights = list(weights)
        self._held = [weight.detach() for weight in weights]
        ends = [*accumulate(weight.numel() for weight in weights)]
        self._parts = [slice(end - weight.numel(), end) for end, weight in zip(ends, weights, strict=True)]
        self._rows = min(_ROWS, max(1, _ROOM // ends[-1]))
        length = -(-ends[-1] // _ALIGNED) * _ALIGNED
        self._kept_gradients = torch.empty(self._rows, length, dtype=weights[0].dtype)
        self._kept_weights = torch.empty(2 * self._rows, length, dtype=weights[0].dtype)
        self._gradient_views: list[list[Tensor]] = []
        self._weight_views: list[list[Tensor]] = []
        self._before: list[int] = []
        self._after: list[int] = []
        self._pending = self._next = 0
        self._versions: list[int] = []
        self._measured: list[Tensor] = []
        self._first_bins = first_bins([weight.numel() for weight in weights])
        self._counting: list[int] = []
        self._counted: list[Tensor] = []

    def look(self, gradients: Sequence[Tensor], counting: bool = False, follows: bool = False) -> None:
        row = len(self._after)
        if row == self._rows:
            self._measure()
            row = 0
        if self._current() != self._versions or not follows:
            self._keep_weights()
        self._pending = self._next - 1
        if row == len(self._gradient_views):
            self._gradient_views.append(self._views(self._kept_gradients[row]))
        torch._foreach_copy_(self._gradient_views[row], list(gradients))
        self._counting += [row] * counting

    def look_again(self) -> None:
        self._versions = self._current()
        self._keep_weights()
        self._before.append(self._pending)
        self._after.append(self._next - 1)

    def take(self) -> Tensor:
        self._measure()
        measured, self._measured = self._measured, []
        return torch.cat(measured)

    def counts(self) -> Tensor:
        counts, self._counted = self._counted, []
        return _stacked(counts, len(self._weights), self._weights[0].device)

    def _measure(self) -> None:
        """Measure the rows that there are, and start with the first again."""
        rows, end = len(self._after), self._parts[-1].stop
        gradients = self._kept_gradients[:rows, :end].numpy()
        if self._next == 2 * rows:  # there were steps between all looks
            befores, afters = self._kept_weights[: 2 * rows : 2], self._kept_weights[1 : 2 * rows : 2]
        elif self._next == rows + 1:
            befores, afters = self._kept_weights[:rows], self._kept_weights[1 : rows + 1]
        else:
            befores, afters = self._kept_weights[self._before], self._kept_weights[self._after]
        before, updates = befores[:, :end].numpy(), (afters - befores)[:, :end].numpy()
        found = np.zeros((5, len(self._parts), rows))
        with np.errstate(all="ignore"):  # what isn't finite is counted
            nonzero = gradients != 0
            for index, part in enumerate(self._parts):
                found[0, index] = np.vecdot(gradients[:, part], gradients[:, part])
                found[1, index] = [np.count_nonzero(row) for row in nonzero[:, part]]
                found[3, index] = np.vecdot(before[:, part], before[:, part])
                found[4, index] = np.vecdot(updates[:, part], updates[:, part])
            for index, row in np.argwhere(~np.isfinite(found[0])):
                found[2, index, row] = np.count_nonzero(~np.isfinite(gradients[row, self._parts[index]]))
            for squares in found[0], found[3], found[4]:
                np.sqrt(squares, out=squares)
        for row in self._counting:
            for numbers in gradients[row], before[row], updates[row]:
                self._counted.append(counted_parts(torch.from_numpy(numbers), self._parts, self._first_bins))
        self._measured.append(torch.from_numpy(found.reshape(5 * len(self._parts), rows).T))
        self._before, self._after, self._next, self._versions, self._counting = [], [], 0, [], []

    def _keep_weights(self) -> None:
        """Copy the weights as they are into the next place."""
        if self._next == len(self._weight_views):
            self._weight_views.append(self._views(self._kept_weights[self._next]))
        torch._foreach_copy_(self._weight_views[self._next], self._held)
        self._next += 1

    def _current(self) -> list[int]:
        """Return what changes when the weights do. Some optimizers put new memory in the place of the old."""
        if [weight.data_ptr() for weight in self._weights] != [held.data_ptr() for held in self._held]:
            self._held, self._versions = [weight.detach() for weight in self._weights], []
        return [weight._version for weight in self._weights]

    def _views(self, row: Tensor) -> list[Tensor]:
        return [*torch._utils._unflatten_dense_tensors(row[: self._parts[-1].stop], self._weights)]  # type: ignore[no-untyped-call]


def _stacked(counts: Sequence[Tensor], weights: int, device: torch.device) -> Tensor:
    together = torch.stack([*counts]) if counts else torch.empty(0, dtype=torch.int32, device=device)
    return together.view(-1, 3, weights, BINS)


def _norms(tensors: Sequence[Tensor], order: int) -> Sequence[Tensor]:
    """Return norms as float32, or float64 of float64: bfloat16 can't count to 300."""
    dtype = torch.promote_types(tensors[0].dtype, torch.float32)
    return torch._foreach_norm(list(tensors), order, dtype=dtype)
