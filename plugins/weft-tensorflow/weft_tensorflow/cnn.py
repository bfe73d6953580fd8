"""The convolutional network of weft's `cnn`, in TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from torch import nn

from weft import Choice, Range
from weft_basics.models.cnn import CNN, Odd
from weft_tensorflow.activations import translated
from weft_tensorflow.model import TensorFlowModel


class TensorFlowCNN(TensorFlowModel):
    """weft's cnn in TensorFlow: convolutions, each followed by an activation and a pooling, then a linear layer.

    (N, channels, height, width) -> (N, outputs). Options, weights and their names are those of `cnn`: of one seed both start as
    the same function, and either can go on with the other's weights.

    Raises:
        ValueError: samples that aren't images, or too small for the poolings; an activation that is torch's alone.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        channels: Annotated[list[int], Range(1, 4096), "of each convolution"] = [16, 32],  # noqa: B006 - never changed
        kernel: Annotated[Odd, "side of a convolution's window: an even one can't keep the image's size"] = 3,
        pooling: Literal["max", "average"] = "max",
        activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "relu",  # type: ignore[assignment]
    ):
        if vocabulary is not None or len(inputs) != 3:
            raise ValueError(f"tensorflow_cnn takes images of shape [channels, height, width], not samples of {list(inputs)}")
        drawn = CNN(inputs, outputs, vocabulary, channels, kernel, pooling, activation)
        between = [translated(module, "tensorflow_cnn") for module in drawn.activations]

        def make() -> object:
            from weft_tensorflow.networks import Convolutional

            depths = [inputs[0], *channels]
            return Convolutional(depths, kernel, pooling, [one() for one in between], drawn.output.in_features, outputs)

        super().__init__(make, dict(drawn.named_parameters()))
