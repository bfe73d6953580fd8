"""Models of keras.applications, from scratch: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from weft import Range
from weft_keras.backend import settings_of_a_model
from weft_keras.initialisation import seeded_by_torch

if TYPE_CHECKING:
    from weft_keras.model import KerasModel

_WITHOUT_A_TOP = {"include_top": False, "weights": None, "pooling": "avg"}

Side = Annotated[int | None, Range(32, 1024, log=True), "side that images are brought to; null: their own, but 32 at least"]


def mobilenet(
    inputs: tuple[int, ...],
    outputs: int,
    vocabulary: int | None = None,
    version: Literal[1, 2, 3] = 3,
    alpha: Annotated[float, Range(0.1, 2, log=True), "width: how many channels, as a multiple of the paper's"] = 0.25,
    size: Side = None,
) -> KerasModel:
    """Keras's MobileNet, its MobileNetV2 or its MobileNetV3Small: small networks of depthwise convolutions.

    (N, channels, height, width) -> (N, outputs). Howard et al. 2017, Sandler et al. 2018, Howard et al. 2019.

    Raises:
        ValueError: samples that aren't images.
    """
    name = {1: "MobileNet", 2: "MobileNetV2", 3: "MobileNetV3Small"}[version]
    options: dict[str, Any] = {"include_preprocessing": False} if version == 3 else {}

    def application(keras: Any, images: Any) -> Any:
        return getattr(keras.applications, name)(alpha=alpha, input_tensor=images, **options, **_WITHOUT_A_TOP)

    return _from_scratch("keras_mobilenet", application, inputs, outputs, vocabulary, size)


def resnet(
    inputs: tuple[int, ...],
    outputs: int,
    vocabulary: int | None = None,
    blocks: Annotated[list[int], Range(2, 64), "in each stage; from one to the next channels double"] = [2, 2],  # noqa: B006 - never changed
    width: Annotated[
        int, Range(1, 1024, log=True), "channels within a block of the first stage; four times as many leave it"
    ] = 16,
    version: Annotated[Literal[1, 2], "2: normalization and activation come before a convolution"] = 1,
    size: Side = None,
) -> KerasModel:
    """Keras's ResNet: convolutions whose outputs are added to what went in, three to a block.

    (N, channels, height, width) -> (N, outputs). Keras's ResNet50, or with version=2 its ResNet50V2, is blocks=[3,4,6,3] and
    width=64; ResNet101 is [3,4,23,3], ResNet152 [3,8,36,3]. He et al., "Deep residual learning for image recognition", 2016,
    and "Identity mappings in deep residual networks", 2016.

    Raises:
        ValueError: samples that aren't images; no stage.
    """
    if not blocks:
        raise ValueError("blocks=[] leaves no stage: give one number for each, such as [3, 4, 6, 3]")

    def application(keras: Any, images: Any) -> Any:
        made = keras.src.applications.resnet  # where ResNet50 and its like are made of these two
        stack = made.stack_residual_blocks_v1 if version == 1 else made.stack_residual_blocks_v2

        def stages(maps: Any) -> Any:
            for number, count in enumerate(blocks):
                halving = number > 0 if version == 1 else number < len(blocks) - 1
                maps = stack(maps, width * 2**number, count, stride1=2 if halving else 1, name=f"conv{number + 2}")
            return maps

        return made.ResNet(stages, preact=version == 2, use_bias=True, input_tensor=images, **_WITHOUT_A_TOP)

    return _from_scratch("keras_resnet", application, inputs, outputs, vocabulary, size)


def _from_scratch(
    model: str,
    application: Callable[[Any, Any], Any],
    inputs: tuple[int, ...],
    outputs: int,
    vocabulary: int | None,
    size: int | None,
) -> KerasModel:
    """Build one of keras.applications on images that are brought to a size, with a Dense layer on the means of its maps."""
    if vocabulary is not None or len(inputs) != 3:
        raise ValueError(f"{model} takes images of shape [channels, height, width], not samples of shape {list(inputs)}")
    sides = (size, size) if size is not None else tuple(max(32, side) for side in inputs[1:])
    with settings_of_a_model() as keras, seeded_by_torch():
        from weft_keras.model import KerasModel

        images = entering = keras.Input(inputs)
        if sides != inputs[1:]:
            images = keras.layers.Resizing(*sides, name="resizing")(images)
        scores = keras.layers.Dense(outputs, name="output")(application(keras, images).outputs[0])
        return KerasModel(keras.Model(entering, scores, name=model))
