"""How the weights of Keras layers begin: as Keras's initialisers have them, or as torch's layers would."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

Initializer = Literal[
    "torch",
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "orthogonal",
    "random_uniform",
    "random_normal",
    "truncated_normal",
    "variance_scaling",
    "zeros",
    "ones",
]
"""What kernels can begin with: as torch's own layers, or by Keras's initialisers, with its names and its defaults. Of Keras's,
biases are 0, recurrent kernels orthogonal, and embeddings even between -0.05 and 0.05, whatever the kernels are."""


@contextlib.contextmanager
def seeded_by_torch() -> Iterator[None]:
    """Let what Keras draws come from torch's generator, which gives one number. Keras takes the seeds of its initialisers and
    of its layers' generators from Python's, which is afterwards as it was."""
    state = random.getstate()
    random.seed(int(torch.randint(2**62, ())))
    try:
        yield
    finally:
        random.setstate(state)


def of_keras(initializer: Initializer) -> str:
    """Return the initialiser to build a layer with: none in particular where torch's weights are to come."""
    return "zeros" if initializer == "torch" else initializer


def begin_as_torch(layer: Any) -> None:
    """Give a built layer the weights that torch's layer of the same shape begins with, by the same draws in the same order."""
    holder = getattr(layer, "cell", layer)
    for name, value in _TORCH[type(layer).__name__](layer).items():
        getattr(holder, name).assign(value.detach())


def _dense(layer: Any) -> dict[str, Tensor]:
    made = nn.Linear(*layer.kernel.shape)
    return {"kernel": made.weight.T, "bias": made.bias}


def _conv2d(layer: Any) -> dict[str, Tensor]:
    height, width, entering, leaving = layer.kernel.shape
    weight, bias = nn.Conv2d(entering, leaving, (height, width)).parameters()
    return {"kernel": weight.permute(2, 3, 1, 0), "bias": bias}


def _embedding(layer: Any) -> dict[str, Tensor]:
    return {"embeddings": nn.Embedding(*layer.embeddings.shape).weight}


def _recurrent(kind: type[nn.LSTM | nn.GRU | nn.RNN]) -> Callable[[Any], dict[str, Tensor]]:
    """Return what makes the weights of one of torch's recurrent layers Keras's."""

    def weights(layer: Any) -> dict[str, Tensor]:
        made = kind(layer.cell.kernel.shape[0], layer.units)
        entering, recurrent, bias, recurrent_bias = (value.detach() for value in made.parameters())
        if kind is not nn.GRU:
            return {"kernel": entering.T, "recurrent_kernel": recurrent.T, "bias": bias + recurrent_bias}
        # Keras has the gates in another order: update, reset, new. It keeps both biases.
        entering, recurrent, bias, recurrent_bias = (
            torch.cat([value.chunk(3)[gate] for gate in (1, 0, 2)]) for value in (entering, recurrent, bias, recurrent_bias)
        )
        return {"kernel": entering.T, "recurrent_kernel": recurrent.T, "bias": torch.stack([bias, recurrent_bias])}

    return weights


_TORCH: dict[str, Callable[[Any], dict[str, Tensor]]] = {
    "Dense": _dense,
    "Conv2D": _conv2d,
    "Embedding": _embedding,
    "LSTM": _recurrent(nn.LSTM),
    "GRU": _recurrent(nn.GRU),
    "SimpleRNN": _recurrent(nn.RNN),
}
