"""keras_layers: a model that is a list of layers by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import weft
from tests.conftest import Weft
from weft_keras import keras
from weft_keras.models.layers import LAYERS, layers

OPTIONS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "activation": ({"activation": "tanh"}, (6,)),
    "activity_regularization": ({"l2": 0.1}, (6,)),
    "alpha_dropout": ({"rate": 0.1}, (6,)),
    "average_pooling1d": ({"pool_size": 2.0}, (8, 3)),
    "average_pooling2d": ({"pool_size": 2.0}, (2, 8, 8)),
    "batch_normalization": ({}, (6,)),
    "conv1d": ({"filters": 4.0, "kernel_size": 3.0}, (8, 3)),
    "conv1d_transpose": ({"filters": 4.0, "kernel_size": 3.0}, (8, 3)),
    "conv2d": ({"filters": 4.0, "kernel_size": [3.0, 2.0], "activation": "relu"}, (2, 8, 8)),
    "conv2d_transpose": ({"filters": 4.0, "kernel_size": 3.0}, (2, 8, 8)),
    "conv_lstm1d": ({"filters": 4.0, "kernel_size": 3.0}, (2, 8, 3)),
    "cropping1d": ({"cropping": [1.0, 2.0]}, (8, 3)),
    "cropping2d": ({"cropping": 1.0}, (2, 8, 8)),
    "dense": ({"units": 4.0, "kernel_regularizer": {"l1": 0.1}}, (6,)),
    "depthwise_conv1d": ({"kernel_size": 3.0}, (8, 3)),
    "depthwise_conv2d": ({"kernel_size": 3.0}, (2, 8, 8)),
    "dropout": ({"rate": 0.5}, (6,)),
    "elu": ({}, (6,)),
    "embedding": ({"output_dim": 4.0}, (12,)),
    "flatten": ({}, (2, 8, 8)),
    "gaussian_dropout": ({"rate": 0.5}, (6,)),
    "gaussian_noise": ({"stddev": 0.5}, (6,)),
    "global_average_pooling1d": ({}, (8, 3)),
    "global_average_pooling2d": ({}, (2, 8, 8)),
    "global_max_pooling1d": ({}, (8, 3)),
    "global_max_pooling2d": ({}, (2, 8, 8)),
    "group_normalization": ({"groups": 2.0}, (6,)),
    "gru": ({"units": 4.0}, (8, 3)),
    "layer_normalization": ({}, (6,)),
    "leaky_relu": ({"negative_slope": 0.1}, (6,)),
    "lstm": ({"units": 4.0, "return_sequences": True}, (8, 3)),
    "masking": ({"mask_value": 0.0}, (8, 3)),
    "max_pooling1d": ({"pool_size": 2.0}, (8, 3)),
    "max_pooling2d": ({"pool_size": 2.0}, (2, 8, 8)),
    "permute": ({"dims": [2.0, 1.0]}, (8, 3)),
    "prelu": ({}, (6,)),
    "relu": ({"max_value": 6.0}, (6,)),
    "repeat_vector": ({"n": 3.0}, (6,)),
    "rescaling": ({"scale": 0.5}, (6,)),
    "reshape": ({"target_shape": [2.0, 3.0]}, (6,)),
    "resizing": ({"height": 4.0, "width": 4.0}, (2, 8, 8)),
    "rms_normalization": ({}, (6,)),
    "separable_conv1d": ({"filters": 4.0, "kernel_size": 3.0}, (8, 3)),
    "separable_conv2d": ({"filters": 4.0, "kernel_size": 3.0}, (2, 8, 8)),
    "simple_rnn": ({"units": 4.0}, (8, 3)),
    "softmax": ({}, (6,)),
    "spatial_dropout1d": ({"rate": 0.5}, (8, 3)),
    "spatial_dropout2d": ({"rate": 0.5}, (2, 8, 8)),
    "unit_normalization": ({}, (6,)),
    "up_sampling1d": ({"size": 2.0}, (8, 3)),
    "up_sampling2d": ({"size": 2.0}, (2, 8, 8)),
    "zero_padding1d": ({"padding": 1.0}, (8, 3)),
    "zero_padding2d": ({"padding": [1.0, 2.0]}, (2, 8, 8)),
}

AFTER: dict[str, list[Any]] = {"masking": [{"lstm": {"units": 4.0}}]}  # of which masks are for


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_can_be_named_trains_and_answers_as_in_keras(name: str) -> None:
    options, shape = OPTIONS[name]
    tokens = name == "embedding"
    model = layers(shape, 3, vocabulary=9 if tokens else None, layers=[{name: options}, *AFTER.get(name, [])])
    samples = torch.randint(1, 9, (4, *shape)) if tokens else torch.randn(4, *shape)
    model.train()(samples).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    found = model.eval()(samples)
    assert found.shape == (4, 3)
    with keras.device("cpu"):
        assert torch.allclose(found, model.net(samples, training=False), rtol=1e-4, atol=1e-5)


def test_a_list_of_names_and_options_is_the_model_that_it_says() -> None:
    model = layers(
        (1, 8, 8),
        10,
        layers=[
            {"conv2d": {"filters": 8.0, "kernel_size": 3.0, "activation": "relu"}},
            {"max_pooling2d": None},
            "flatten",
            {"dense": {"units": 16.0, "name": "code"}},
            {"dropout": {"rate": 0.2}},
        ],
    )
    assert {name: tuple(weight.shape) for name, weight in model.named_parameters()} == {
        "conv2d.kernel": (3, 3, 1, 8),
        "conv2d.bias": (8,),
        "code.kernel": (72, 16),
        "code.bias": (16,),
        "output.kernel": (16, 10),
        "output.bias": (10,),
    }
    assert model(torch.randn(4, 1, 8, 8)).shape == (4, 10)


def test_sequences_have_their_features_last() -> None:
    model = layers((12, 3), 2, layers=[{"conv1d": {"filters": 5.0, "kernel_size": 3.0}}, "global_average_pooling1d"])
    assert model.conv1d.kernel.shape == (3, 3, 5)
    assert model(torch.randn(4, 12, 3)).shape == (4, 2)


def test_at_each_step_there_is_an_answer_where_the_task_asks_for_one() -> None:
    recurrent = [{"embedding": {"output_dim": 4.0, "mask_zero": True}}, {"lstm": {"units": 5.0, "return_sequences": True}}]
    model = layers((12,), 9, vocabulary=9, task="language_modelling", layers=recurrent)
    assert model(torch.randint(1, 9, (4, 12))).shape == (4, 12, 9)
    with pytest.raises(ValueError, match=r"language_modelling asks for an answer at each step, and what the layers leave is"):
        layers((12,), 9, vocabulary=9, task="language_modelling", layers=[{"embedding": {"output_dim": 4.0}}, "flatten"])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("lambda", r"layers\[0\]: there is no layer 'lambda'.*; there are activation, "),
        ({"danse": {}}, r"layers\[0\]: there is no layer 'danse' \(did you mean 'dense'\?\)"),
        ({"dense": {"units": 3.0}, "dropout": {}}, r"layers\[0\] names 2 layers: "),
        ({"dense": {"unit": 3.0}}, r"layers\[0\] \(dense\) has no option 'unit' \(did you mean 'units'\?\); there are units, "),
        ({"dense": {"units": 3.0, "dtype": "float16"}}, r"layers\[0\] \(dense\) has no option 'dtype'"),
        ({"dense": {"units": 3.0, "quantization_config": "int8"}}, r"has no option 'quantization_config'"),
        ({"dense": {"units": -3.0}}, r"layers\[0\] \(dense\): Received an invalid value for `units`"),
        ({"dense": {"units": 3.0, "activation": "reluu"}}, r"layers\[0\] \(dense\): Could not interpret activation function"),
        ({"dense": {}}, r"layers\[0\] \(dense\): .* missing 1 required positional argument: 'units'"),
        ({"dense": {"units": 3.0, "kernel_initializer": {"l1": 1.0}}}, r"kernel_initializer: .* only a regularizer has parts"),
        ({"dense": {"units": 3.0, "kernel_regularizer": {"l3": 1.0}}}, r"kernel_regularizer: .* only a regularizer has parts"),
        ({"reshape": {"target_shape": [5.0, 5.0]}}, r"layers\[0\] \(reshape\): The total size of the tensor must be unchanged"),
        (
            {"embedding": {"output_dim": 3.0}},
            r"layers\[0\] \(embedding\): an embedding takes tokens, and this dataset's samples",
        ),
    ],
)
def test_what_can_t_be_is_refused_with_its_place(chosen: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layers((6,), 3, layers=[chosen])


def test_tokens_want_an_embedding_first() -> None:
    with pytest.raises(ValueError, match="this dataset's samples are tokens, and only an embedding takes those"):
        layers((12,), 3, vocabulary=9, layers=[{"dense": {"units": 3.0}}])


def test_no_layer_that_can_be_named_calls_what_it_is_given() -> None:
    kinds = [getattr(keras.layers, name) for name in LAYERS.values()]
    outlaws = (keras.layers.Lambda, keras.layers.TorchModuleWrapper, keras.layers.Wrapper, keras.Model)
    assert not any(issubclass(kind, outlaws) for kind in kinds)


def test_by_command_and_back_from_its_folder(weft_command: Weft, tmp_path: Path) -> None:
    chosen = "model.layers=[{conv2d: {filters: 4, kernel_size: [3, 3]}}, flatten, {dense: {units: 8, activation: relu}}]"
    weft_command("run", "model=keras_layers", chosen, "dataset=digits", "epochs=1")
    (record,) = tmp_path.glob("runs/*/*/run.json")
    model = weft.load(record.parent)
    assert model.get_parameter("conv2d.kernel").shape == (3, 3, 1, 4)
    assert model(torch.rand(2, 1, 8, 8)).shape == (2, 10)
