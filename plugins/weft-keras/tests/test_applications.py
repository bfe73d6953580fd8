"""keras_mobilenet and keras_resnet."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from weft_keras import keras
from weft_keras.backend import settings_of_a_model
from weft_keras.models.applications import mobilenet, resnet


def shapes(weights: Any) -> list[tuple[int, ...]]:
    return sorted(tuple(weight.shape) for weight in weights)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("MobileNet", lambda: mobilenet((3, 32, 32), 7, version=1, alpha=0.5)),
        ("MobileNetV2", lambda: mobilenet((3, 32, 32), 7, version=2, alpha=0.5)),
        ("MobileNetV3Small", lambda: mobilenet((3, 32, 32), 7, version=3, alpha=0.5)),
        ("ResNet50", lambda: resnet((3, 32, 32), 7, blocks=[3, 4, 6, 3], width=64)),
        ("ResNet50V2", lambda: resnet((3, 32, 32), 7, blocks=[3, 4, 6, 3], width=64, version=2)),
    ],
)
def test_it_is_the_application_of_that_name(name: str, make: Any) -> None:
    options: dict[str, Any] = {"alpha": 0.5} if "Mobile" in name else {}
    with settings_of_a_model():
        theirs = getattr(keras.applications, name)(
            weights=None, include_top=False, pooling="avg", input_shape=(3, 32, 32), **options
        )
        top = [(theirs.output_shape[1], 7), (7,)]
    assert shapes(make().net.weights) == sorted([*shapes(theirs.weights), *top])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 40, 33)])
@pytest.mark.parametrize("make", [mobilenet, resnet])
def test_images_of_any_size_are_taken(make: Any, shape: tuple[int, ...]) -> None:
    model = make(shape, 7)
    assert model(torch.rand(2, *shape)).shape == (2, 7)
    assert ("resizing" in dict(model.named_children())) == (shape[1] < 32)


@pytest.mark.parametrize("make", [mobilenet, resnet])
def test_images_can_be_brought_to_a_size(make: Any) -> None:
    torch.manual_seed(0)
    resized = make((1, 8, 8), 7, size=48).eval()
    torch.manual_seed(0)
    whole = make((1, 48, 48), 7).eval()
    images = torch.rand(2, 1, 8, 8)
    larger = torch.nn.functional.interpolate(images, size=(48, 48), mode="bilinear", align_corners=False)
    assert torch.allclose(resized(images), whole(larger), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("make", [mobilenet, resnet])
def test_what_is_no_image_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match=r"takes images of shape \[channels, height, width\], not samples of shape \[6\]"):
        make((6,), 7)
    with pytest.raises(ValueError, match="takes images"):
        make((12,), 7, vocabulary=9)


def test_a_resnet_has_a_stage() -> None:
    with pytest.raises(ValueError, match=r"blocks=\[\] leaves no stage"):
        resnet((1, 8, 8), 7, blocks=[])
