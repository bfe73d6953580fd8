"""Numbers from a device into memory, many at once: each transfer waits until the device has come so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def transferred(tensors: Sequence[Tensor]) -> list[NDArray[np.floating]]:
    """Return the values of tensors. Each type of number on each device is one transfer, and there is mostly one."""
    places: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for place, tensor in enumerate(tensors):
        places.setdefault((tensor.device, tensor.dtype), []).append(place)
    found: dict[int, NDArray[np.floating]] = {}
    for chosen in places.values():
        copied, start = torch.cat([tensors[place].reshape(-1) for place in chosen]).cpu(), 0
        together = (
            copied.float() if copied.is_floating_point() and copied.itemsize < 4 else copied
        ).numpy()  # it has no bfloat16
        for place in chosen:
            end = start + tensors[place].numel()
            found[place] = together[start:end].reshape(tensors[place].shape)
            start = end
    return [found[place] for place in range(len(tensors))]
