"""Models of one's own, with random numbers, state and loops, put to weft's conformance suite; and a plugin as in the README."""

from __future__ import annotations

import weft
from tests.networks import Dropped, Looped, Normalized
from weft.testing import conformance
from weft_tensorflow import TensorFlowModel


def own_dropped(inputs: tuple[int, ...], outputs: int, vocabulary: int | None = None, rate: float = 0.5) -> TensorFlowModel:
    """Dropout, by a seed of torch's."""
    if vocabulary is not None or len(inputs) != 1:
        raise ValueError("own_dropped takes vectors")
    return TensorFlowModel(lambda: Dropped(inputs[0], outputs, rate))


def own_normalized(inputs: tuple[int, ...], outputs: int, vocabulary: int | None = None) -> TensorFlowModel:
    """Batch normalization: what it has seen is state."""
    if vocabulary is not None or len(inputs) != 1:
        raise ValueError("own_normalized takes vectors")
    return TensorFlowModel(lambda: Normalized(inputs[0], outputs))


def own_looped(inputs: tuple[int, ...], outputs: int, vocabulary: int | None = None) -> TensorFlowModel:
    """A loop over tokens."""
    if vocabulary is None or outputs == vocabulary:
        raise ValueError("own_looped gives tokens one label")
    return TensorFlowModel(lambda: Looped(vocabulary, outputs))


for factory in (own_dropped, own_normalized, own_looped):
    weft.register("model", factory)

test_conformance = conformance("own_dropped", "own_normalized", "own_looped")
