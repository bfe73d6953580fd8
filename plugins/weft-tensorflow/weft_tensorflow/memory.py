"""Tensors from torch to TensorFlow and back, by DLPack: the same memory where that is safe."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.utils import dlpack

from weft_tensorflow.starting import tensorflow

_ALIGNMENT = 64
"""Bytes that TensorFlow's kernels take a tensor to begin at a multiple of. They end the process where one doesn't, and a slice
of torch's begins anywhere."""


def to_tensorflow(tensor: Tensor) -> Any:
    """Return the tensor as one of TensorFlow's. It is the same memory, if that is the CPU's, dense, and begins where TensorFlow
    needs it to; else a copy. What TensorFlow is given it doesn't write to."""
    dense = tensor.detach().cpu().contiguous()
    if dense.data_ptr() % _ALIGNMENT:
        dense = dense.clone()
    return _exchange().from_dlpack(dlpack.to_dlpack(dense))  # type: ignore[attr-defined]


def to_torch(tensor: Any, device: torch.device) -> Tensor:
    """Return a tensor of TensorFlow's as torch's own, which may be written to.

    It is always a copy. What a function of TensorFlow's returns may be memory that it returns again: its argument, another
    result, or a constant of its graph. torch changes gradients in their place, and would change those.
    """
    shared: Tensor = dlpack.from_dlpack(_exchange().to_dlpack(tensor))
    return shared.clone() if device.type == "cpu" else shared.to(device)


@functools.cache
def _exchange() -> Any:
    return tensorflow().experimental.dlpack
