"""Layers in torch's own operations: they answer, learn and keep what Keras's own code does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from weft_keras import keras
from weft_keras.backend import settings_of_a_model
from weft_keras.in_torch import _LAYERS
from weft_keras.layer import KerasLayer
from weft_keras.names import variable_names

layers = keras.layers
FLAT, ROWS, IMAGES, VOLUMES = (6,), (5, 6), (3, 8, 9), (2, 5, 6, 4)

CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "dense": (lambda: layers.Dense(4), FLAT),
    "dense of rows, gelu": (lambda: layers.Dense(4, activation="gelu"), ROWS),
    "dense without bias, softmax": (lambda: layers.Dense(4, use_bias=False, activation="softmax"), FLAT),
    "dense, leaky_relu": (lambda: layers.Dense(4, activation="leaky_relu"), FLAT),
    "conv1d": (lambda: layers.Conv1D(4, 3, padding="same", dilation_rate=2, data_format="channels_first"), ROWS),
    "conv2d": (lambda: layers.Conv2D(4, 3, activation="relu"), IMAGES),
    "conv2d, strides": (lambda: layers.Conv2D(4, (3, 2), strides=(2, 1), use_bias=False), IMAGES),
    "conv2d, same": (lambda: layers.Conv2D(4, (5, 3), padding="same"), IMAGES),
    "conv2d, groups": (lambda: layers.Conv2D(6, 3, groups=3), IMAGES),
    "conv3d": (lambda: layers.Conv3D(4, 3, padding="same"), VOLUMES),
    "depthwise": (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, activation="tanh"), IMAGES),
    "depthwise, same, strides": (lambda: layers.DepthwiseConv2D(3, padding="same", dilation_rate=2, use_bias=False), IMAGES),
    "max pooling": (lambda: layers.MaxPooling2D(2), IMAGES),
    "average pooling": (lambda: layers.AveragePooling2D((3, 2), strides=2), IMAGES),
    "global average": (lambda: layers.GlobalAveragePooling2D(), IMAGES),
    "global average, last": (lambda: layers.GlobalAveragePooling2D("channels_last", keepdims=True), IMAGES),
    "batch norm": (lambda: layers.BatchNormalization(), FLAT),
    "batch norm of images": (lambda: layers.BatchNormalization(axis=1, momentum=0.7, epsilon=1e-5), IMAGES),
    "batch norm, plain": (lambda: layers.BatchNormalization(center=False, scale=False), FLAT),
    "batch norm, frozen": (lambda: layers.BatchNormalization(trainable=False), FLAT),
    "layer norm": (lambda: layers.LayerNormalization(), ROWS),
    "layer norm without scale": (lambda: layers.LayerNormalization(scale=False, epsilon=1e-5), FLAT),
    "dropout of nothing": (lambda: layers.Dropout(0.0), FLAT),
    "flatten": (lambda: layers.Flatten(), IMAGES),
    "flatten, last": (lambda: layers.Flatten("channels_last"), IMAGES),
    "zero padding": (lambda: layers.ZeroPadding2D(((1, 2), (3, 0))), IMAGES),
    "activation": (lambda: layers.Activation("silu"), FLAT),
    "activation, linear": (lambda: layers.Activation("linear"), FLAT),
    "relu": (lambda: layers.ReLU(), FLAT),
    "relu6": (lambda: layers.ReLU(6.0), FLAT),
    "lstm": (lambda: layers.LSTM(4, bias_initializer="random_normal", unit_forget_bias=False), ROWS),
    "lstm, sequences": (lambda: layers.LSTM(4, return_sequences=True), ROWS),
    "gru": (lambda: layers.GRU(4, bias_initializer="random_normal"), ROWS),
    "gru, sequences": (lambda: layers.GRU(4, return_sequences=True), ROWS),
    "simple rnn": (lambda: layers.SimpleRNN(4, bias_initializer="random_normal", return_sequences=True), ROWS),
}

LEFT_TO_KERAS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "conv2d, channels last": (lambda: layers.Conv2D(4, 3, data_format="channels_last"), (8, 9, 3)),
    "conv2d, uneven": (lambda: layers.Conv2D(4, 2, padding="same"), IMAGES),
    "conv2d, same with strides": (lambda: layers.Conv2D(4, 3, padding="same", strides=2), IMAGES),
    "conv1d, causal": (lambda: layers.Conv1D(4, 3, padding="causal", data_format="channels_first"), ROWS),
    "pooling, same": (lambda: layers.MaxPooling2D(2, padding="same"), IMAGES),
    "batch norm, channels last": (lambda: layers.BatchNormalization(), IMAGES),
    "layer norm over two": (lambda: layers.LayerNormalization(axis=(-2, -1)), ROWS),
    "dropout with a seed": (lambda: layers.Dropout(0.5, seed=1), FLAT),
    "relu with a slope": (lambda: layers.ReLU(negative_slope=0.1), FLAT),
    "gru, reset before": (lambda: layers.GRU(4, reset_after=False), ROWS),
    "lstm, other gates": (lambda: layers.LSTM(4, recurrent_activation="hard_sigmoid"), ROWS),
    "lstm, backwards": (lambda: layers.LSTM(4, go_backwards=True), ROWS),
    "lstm with dropout": (lambda: layers.LSTM(4, dropout=0.5), ROWS),
    "dense with a regularizer of its outputs": (lambda: layers.Dense(4, activity_regularizer="l2"), FLAT),
}


def built(make: Any, shape: tuple[int, ...]) -> Any:
    with settings_of_a_model():
        layer = make()
        layer(keras.Input(shape))
        for weight in layer.trainable_weights:  # which are 0 or 1 where that could hide something
            weight.assign(weight.value + 0.1 * torch.randn(weight.shape))
    return layer


def run(layer: Any, inputs: Tensor, training: bool, module: KerasLayer | None = None) -> list[Tensor]:
    """Return the outputs, the gradients of inputs and weights, and the other weights afterwards."""
    inputs = inputs.clone().requires_grad_()
    with settings_of_a_model():
        found = layer(inputs, training=training) if module is None else module.train(training)(inputs)
    weights = [variable.value for variable in layer.trainable_weights]
    (found * torch.linspace(-1, 1, found.numel()).reshape(found.shape)).sum().backward()
    gradients = [weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None
    return [found, inputs.grad, *gradients, *(variable.value.clone() for variable in layer.non_trainable_weights)]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_layer_is_the_same_as_by_keras_itself(name: str, training: bool) -> None:
    make, shape = CASES[name]
    layer = built(make, shape)
    inputs = 3 * torch.randn(7, *shape) + 1
    state = [variable.value.clone() for variable in layer.non_trainable_weights]
    expected = run(layer, inputs, training)
    for variable, value in zip(layer.non_trainable_weights, state, strict=True):
        variable.assign(value)
    module = KerasLayer(layer, variable_names(layer))
    assert module._in_torch is not None
    assert module._in_torch(training, inputs) is not None
    for variable, value in zip(layer.non_trainable_weights, state, strict=True):
        variable.assign(value)
    found = run(layer, inputs, training, module)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one, other, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", LEFT_TO_KERAS)
def test_an_option_that_torch_hasn_t_is_left_to_keras(name: str) -> None:
    make, shape = LEFT_TO_KERAS[name]
    layer = built(make, shape)
    module = KerasLayer(layer, variable_names(layer))
    assert module._in_torch is None
    inputs = torch.randn(7, *shape)
    expected = run(layer, inputs, False)
    for one, other in zip(run(layer, inputs, False, module), expected, strict=True):
        assert torch.equal(one, other)


def test_tokens_are_looked_up() -> None:
    with settings_of_a_model():
        layer = layers.Embedding(9, 4)
        layer(keras.Input((5,), dtype="int64"))
        tokens = torch.randint(0, 9, (7, 5))
        expected = layer(tokens)
    module = KerasLayer(layer, variable_names(layer))
    assert torch.equal(module(tokens), expected)
    assert module._in_torch is not None


def test_sums_are_taken_of_as_many_as_there_are() -> None:
    with settings_of_a_model():
        layer = layers.Add()
        layer([keras.Input((6,)) for _ in range(3)])
    module = KerasLayer(layer, [])
    one, two, three = torch.randn(3, 7, 6)
    assert torch.equal(module([one, two, three]), one + two + three)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", [{}, {"value_dim": 5, "output_shape": 7, "use_bias": False}])
def test_attention_is_the_same_as_by_keras_itself(options: dict[str, Any], masked: bool, causal: bool) -> None:
    with settings_of_a_model():
        layer = layers.MultiHeadAttention(2, 3, **options)
        layer(keras.Input((5, 6)), keras.Input((5, 4)))
        query, value = torch.randn(7, 5, 6), torch.randn(7, 5, 4)
        mask = torch.rand(7, 1, 5) < 0.6
        named = {"use_causal_mask": causal, "attention_mask": mask if masked else None}
        expected = layer(query, value, **named)
    module = KerasLayer(layer, variable_names(layer))
    assert module._in_torch is not None
    assert torch.allclose(module(query, value, **named), expected, rtol=1e-4, atol=1e-5)
    assert torch.allclose(module(query, value, key=value, **named), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"dropout": 0.1}, {"sliding_window": 2}, {"use_gate": True}])
def test_attention_that_is_another_is_left_to_keras(options: dict[str, Any]) -> None:
    with settings_of_a_model():
        layer = layers.MultiHeadAttention(2, 3, **options)
        layer(keras.Input((5, 6)), keras.Input((5, 4)))
    assert KerasLayer(layer, variable_names(layer))._in_torch is None


def test_arguments_that_are_not_met_here_go_to_keras() -> None:
    layer = built(lambda: layers.LSTM(4), ROWS)
    inputs, start = torch.randn(7, *ROWS), [torch.randn(7, 4), torch.randn(7, 4)]
    with settings_of_a_model():
        expected = layer(inputs, initial_state=start)
    module = KerasLayer(layer, variable_names(layer))
    assert torch.allclose(module(inputs, initial_state=start), expected, atol=1e-6)
    assert not torch.allclose(module(inputs), expected, atol=1e-3)


def test_dropout_keeps_the_mean() -> None:
    layer = built(lambda: layers.Dropout(0.25), FLAT)
    module = KerasLayer(layer, variable_names(layer))
    found = module(torch.ones(1000, 6))
    assert found.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float(found.mean()) == pytest.approx(1, abs=0.03)


def test_every_layer_that_is_here_is_tried_above() -> None:
    tried = {type(make()) for make, _ in CASES.values()} | {layers.Embedding, layers.Add, layers.MultiHeadAttention}
    assert set(_LAYERS) == tried
