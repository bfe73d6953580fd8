"""Models: shapes, parameters, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from weft_basics.models.cnn import CNN
from weft_basics.models.linear import Linear
from weft_basics.models.mlp import MLP
from weft_basics.models.rnn import RNN


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (Linear((3, 4), 5), (3, 4)),
        (MLP((7,), 5, width=6, depth=3, activation=nn.Tanh), (7,)),
        (CNN((1, 8, 8), 5, activation=nn.ReLU), (1, 8, 8)),
        (CNN((3, 28, 28), 5, kernel=5, pooling="average", activation=nn.ReLU), (3, 28, 28)),
        (CNN((1, 9, 13), 5, channels=[4, 4, 4], activation=nn.ReLU), (1, 9, 13)),
        (RNN((8, 3), 5, cell="gru"), (8, 3)),
        (RNN((2, 8, 3), 5, cell="rnn", layers=2), (2, 8, 3)),
    ],
)
def test_outputs_have_their_shape_and_every_weight_a_gradient(model: nn.Module, inputs: tuple[int, ...]) -> None:
    outputs = model(torch.randn(6, *inputs))
    assert outputs.shape == (6, 5)
    outputs.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


@pytest.mark.parametrize("batch", [1, 4])
def test_a_sample_does_not_see_the_others_of_its_batch(batch: int) -> None:
    for model, shape in ((CNN((1, 8, 8), 3, activation=nn.ReLU), (1, 8, 8)), (RNN((1, 8, 8), 3), (1, 8, 8))):
        inputs = torch.randn(batch, *shape)
        whole = model(inputs)
        torch.testing.assert_close(whole, torch.cat([model(sample[None]) for sample in inputs]))


def test_linear_is_a_matrix_and_a_bias() -> None:
    model = Linear((2, 3), 4)
    inputs = torch.randn(5, 2, 3)
    expected = inputs.flatten(1) @ model.output.weight.T + model.output.bias
    torch.testing.assert_close(model(inputs), expected)


def test_mlp_is_layers_with_activations_between() -> None:
    model = MLP((4,), 2, width=3, depth=2, activation=nn.Tanh)
    inputs = torch.randn(5, 4)
    units = torch.tanh(model.hidden[1](torch.tanh(model.hidden[0](inputs))))
    torch.testing.assert_close(model(inputs), model.output(units))
    assert count(model) == (4 * 3 + 3) + (3 * 3 + 3) + (3 * 2 + 2)


def test_mlp_builds_an_activation_for_each_layer() -> None:
    model = MLP((4,), 2, depth=3, activation=nn.ReLU)
    assert len({id(activation) for activation in model.activations}) == 3


def test_cnn_halves_the_image_with_each_pooling() -> None:
    model = CNN((1, 28, 28), 10, channels=[16, 32], activation=nn.ReLU)
    assert model.output.in_features == 32 * 7 * 7
    assert count(model) == (16 * 9 + 16) + (32 * 16 * 9 + 32) + (32 * 7 * 7 * 10 + 10)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_cnn_against_torch_functional(pooling: str) -> None:
    model = CNN((1, 8, 8), 2, channels=[3], pooling=pooling, activation=nn.ReLU)  # type: ignore[arg-type]
    inputs = torch.randn(2, 1, 8, 8)
    maps = nn.functional.conv2d(inputs, model.convolutions[0].weight, model.convolutions[0].bias, padding=1).relu()
    pooled = nn.functional.max_pool2d(maps, 2) if pooling == "max" else nn.functional.avg_pool2d(maps, 2)
    torch.testing.assert_close(model(inputs), model.output(pooled.flatten(1)))


def test_rnn_reads_an_image_row_by_row_with_channels_side_by_side() -> None:
    model = RNN((2, 4, 3), 5, cell="gru", hidden=6)
    images = torch.randn(7, 2, 4, 3)
    rows = torch.cat([images[:, 0], images[:, 1]], dim=2)
    states, _ = model.recurrent(rows)
    torch.testing.assert_close(model(images), model.output(states[:, -1]))
    assert model.recurrent.input_size == 6


def test_rnn_remembers_the_order() -> None:
    model = RNN((6, 2), 3)
    inputs = torch.randn(4, 6, 2)
    assert not torch.allclose(model(inputs), model(inputs.flip(1)))


def test_rnn_embeds_tokens() -> None:
    model = RNN((6,), 3, vocabulary=10, embedding=4)
    assert model(torch.randint(10, (5, 6))).shape == (5, 3)
    assert model.embedding.weight.shape == (10, 4)


@pytest.mark.parametrize(
    ("factory", "arguments", "message"),
    [
        (Linear, {"inputs": (6,), "vocabulary": 9}, "linear takes numbers, and this dataset's samples are tokens"),
        (MLP, {"inputs": (6,), "vocabulary": 9, "activation": nn.ReLU}, "mlp takes numbers"),
        (CNN, {"inputs": (64,)}, r"cnn takes images .* not samples of shape \[64\]"),
        (CNN, {"inputs": (1, 8, 8), "kernel": 4}, "kernel=4 is even .* take 3 or 5"),
        (CNN, {"inputs": (1, 8, 8), "channels": []}, r"channels=\[\] leaves no convolution"),
        (CNN, {"inputs": (1, 8, 3), "channels": [4, 4]}, r"2 poolings halve the image \[8, 3\] to nothing"),
        (RNN, {"inputs": (64,)}, r"rnn takes sequences .* not samples of shape \[64\]"),
        (RNN, {"inputs": (8, 8), "vocabulary": 9}, r"rnn takes tokens of shape \[length\], not samples of shape \[8, 8\]"),
    ],
)
def test_samples_that_do_not_fit_are_refused(factory: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        factory(outputs=3, **arguments)
