"""The multilayer perceptron of weft's `mlp`, in TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

from torch import nn

from weft import Choice, Range
from weft_basics.models.mlp import MLP
from weft_tensorflow.activations import translated
from weft_tensorflow.model import TensorFlowModel


class TensorFlowMLP(TensorFlowModel):
    """weft's mlp in TensorFlow: hidden layers of equal width, each followed by an activation, then a linear layer.

    (N, *inputs) -> (N, outputs). Options, weights and their names are those of `mlp`: of one seed both start as the same
    function, and either can go on with the other's weights.

    Raises:
        ValueError: the samples are tokens, or an activation is torch's alone.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        width: Annotated[int, Range(1, 16384, log=True), "units in a hidden layer"] = 128,
        depth: Annotated[int, Range(1, 32), "number of hidden layers"] = 1,
        activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "relu",  # type: ignore[assignment]
        output_activation: Annotated[Callable[[], nn.Module], Choice("activation"), "after the last layer"] = "identity",  # type: ignore[assignment]
    ):
        if vocabulary is not None:
            raise ValueError("tensorflow_mlp takes numbers, and this dataset's samples are tokens; rnn takes them")
        drawn = MLP(inputs, outputs, vocabulary, width, depth, activation, output_activation)
        between = [translated(module, "tensorflow_mlp") for module in drawn.activations]
        last = translated(drawn.output_activation, "tensorflow_mlp")

        def make() -> object:
            from weft_tensorflow.networks import Perceptron

            widths = [math.prod(inputs), *[width] * depth, outputs]
            return Perceptron(widths, [one() for one in between], last())

        super().__init__(make, dict(drawn.named_parameters()))
