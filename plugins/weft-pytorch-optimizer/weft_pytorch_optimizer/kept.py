"""Optimizers' state as a checkpoint can hold it: tensors, numbers, texts, lists and dicts, and the same bits afterwards.

Some of the library's optimizers keep more in their state: queues, helper objects such as projectors, torch types, numbers that
are members of an enumeration; and matrices that LAPACK left in column order, which a product rounds in another way than the
same numbers in row order. Each of these becomes a dict with one key that says what it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import torch
from pytorch_optimizer.optimizer.utils import galore, graft, partition, preconditioner
from torch import Tensor
from torch.optim import Optimizer

_HELPERS: dict[str, type] = {
    helper.__name__: helper
    for helper in (
        galore.GaLoreProjector,
        graft.Graft,
        graft.SGDGraft,
        graft.SQRTNGraft,
        graft.AdaGradGraft,
        graft.RMSPropGraft,
        partition.BlockPartitioner,
        preconditioner.PreConditioner,
    )
}
_SEVERAL: tuple[Any, Any] = ("", None)
_ORDER, _QUEUE, _TYPE, _HELPER = "in order", "queue of", "torch type", "helper"


class Kept(Optimizer):
    """What every optimizer of this package is mixed with: a state that goes into a checkpoint, and comes back as it was."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state, in what a checkpoint can hold."""
        state: dict[str, Any] = packed(super().state_dict())
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take it back.

        Torch casts numbers to their weight's type and moves them to its device, and looks into no object. Here they have the
        type that they had, and all are where the weight is.
        """
        saved = unpacked(state_dict)
        super().load_state_dict(saved)
        groups = zip(self.param_groups, saved.get("param_groups", ()), strict=False)
        for weight, key in (
            (weight, key) for own, group in groups for weight, key in zip(own["params"], group["params"], strict=True)
        ):
            for name, value in saved["state"].get(key, {}).items():
                self.state[weight][name] = _as_it_was(self.state[weight][name], value, weight.device)


def packed(value: Any) -> Any:
    """Return a state in what a checkpoint can hold.

    Raises:
        TypeError: there is an object in it of a kind that isn't known here.
    """
    if isinstance(value, Tensor):
        order = _order(value)
        return value if order is None else {_ORDER: [order, value.permute(order)]}
    if isinstance(value, Mapping):
        return {key: packed(item) for key, item in value.items()}
    if isinstance(value, deque):
        return {_QUEUE: [value.maxlen, [packed(item) for item in value]]}
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (list, tuple)):
        return type(value)(packed(item) for item in value)
    if isinstance(value, torch.dtype):
        return {_TYPE: str(value).removeprefix("torch.")}
    if isinstance(value, IntEnum):
        return int(value)
    if type(value).__name__ in _HELPERS:
        return {_HELPER: [type(value).__name__, packed(vars(value))]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a {type(value).__name__} is no state that can be kept")


def unpacked(value: Any) -> Any:
    """Return a state as it was before `packed`."""
    if isinstance(value, Mapping):
        what, content = next(iter(value.items())) if len(value) == 1 else _SEVERAL
        if what == _ORDER:
            order, tensor = content
            return tensor.permute([order.index(place) for place in range(len(order))])
        if what == _QUEUE:
            return deque(map(unpacked, content[1]), maxlen=content[0])
        if what == _TYPE:
            return getattr(torch, content)
        if what == _HELPER:
            kind = _HELPERS[content[0]]
            helper: Any = object.__new__(kind)
            vars(helper).update(unpacked(content[1]))
            return helper
        return {key: unpacked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(unpacked, value))
    return value


def _as_it_was(loaded: Any, saved: Any, device: torch.device) -> Any:
    """Return what was loaded, with the numbers and types that were saved, on the device that torch chose."""
    if isinstance(saved, Tensor):
        return saved.to(loaded.device)
    if isinstance(saved, Mapping):
        return {key: _as_it_was(loaded[key], item, device) for key, item in saved.items()}
    if isinstance(saved, deque):
        return deque((_as_it_was(*pair, device) for pair in zip(loaded, saved, strict=True)), saved.maxlen)
    if isinstance(saved, (list, tuple)):
        return type(saved)(_as_it_was(*pair, device) for pair in zip(loaded, saved, strict=True))
    if type(saved).__name__ in _HELPERS:
        vars(saved).update(_moved(vars(saved), device))
        return saved
    return loaded


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(item, device) for key, item in value.items()}
    return type(value)(_moved(item, device) for item in value) if isinstance(value, (list, tuple)) else value


def _order(tensor: Tensor) -> list[int] | None:
    """Return the order of the dimensions in which a tensor lies in memory without gaps; None where that is their own order, or
    there is no such order."""
    if tensor.is_contiguous():
        return None
    order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
    return order if tensor.permute(order).is_contiguous() else None
