"""Models: shapes, parameters, refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from weft_basics.models.cnn import CNN
from weft_basics.models.linear import Linear
from weft_basics.models.mlp import MLP
from weft_basics.models.rbf import RBF
from weft_basics.models.rnn import RNN
from weft_basics.models.transformer import Transformer


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("factory", "inputs", "options"),
    [
        (Linear, (3, 4), {}),
        (RBF, (7,), {"features": 20}),
        (MLP, (7,), {"width": 6, "depth": 3, "activation": nn.Tanh, "output_activation": nn.Identity}),
        (CNN, (1, 8, 8), {"activation": nn.ReLU}),
        (CNN, (3, 28, 28), {"kernel": 5, "pooling": "average", "activation": nn.ReLU}),
        (CNN, (1, 9, 13), {"channels": [4, 4, 4], "activation": nn.ReLU}),
        (RNN, (8, 3), {"cell": "gru"}),
        (RNN, (2, 8, 3), {"cell": "rnn", "layers": 2}),
        (RNN, (8, 3), {"bidirectional": True}),
        (Transformer, (8, 3), {"width": 8, "activation": nn.GELU}),
        (Transformer, (2, 8, 3), {"width": 8, "activation": nn.GELU}),
    ],
)
def test_outputs_have_their_shape_and_every_weight_a_gradient(
    factory: type[nn.Module], inputs: tuple[int, ...], options: dict[str, Any]
) -> None:
    model = factory(inputs, 5, **options)
    outputs = model(torch.randn(6, *inputs))
    assert outputs.shape == (6, 5)
    (outputs * torch.randn(6, 5)).sum().backward()
    silent = {name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0}  # type: ignore[union-attr]
    assert silent == set()


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
    model = MLP((4,), 2, width=3, depth=2, activation=nn.Tanh, output_activation=nn.Identity)
    inputs = torch.randn(5, 4)
    units = torch.tanh(model.hidden[1](torch.tanh(model.hidden[0](inputs))))
    torch.testing.assert_close(model(inputs), model.output(units))
    assert count(model) == (4 * 3 + 3) + (3 * 3 + 3) + (3 * 2 + 2)


def test_mlp_can_end_in_an_activation() -> None:
    model = MLP((4,), 3, activation=nn.ReLU, output_activation=lambda: nn.LogSoftmax(-1))
    torch.testing.assert_close(model(torch.randn(5, 4)).logsumexp(1), torch.zeros(5))


def test_mlp_builds_an_activation_for_each_layer() -> None:
    model = MLP((4,), 2, depth=3, activation=nn.ReLU, output_activation=nn.Identity)
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
        (CNN, {"inputs": (1, 8, 8), "channels": []}, r"channels=\[\] leaves no convolution"),
        (CNN, {"inputs": (1, 8, 3), "channels": [4, 4]}, r"2 poolings halve the image \[8, 3\] to nothing"),
        (RBF, {"inputs": (6,), "vocabulary": 9}, "rbf takes numbers"),
        (Transformer, {"inputs": (64,), "activation": nn.GELU}, r"transformer takes sequences .* not samples of shape \[64\]"),
        (Transformer, {"inputs": (8, 3), "width": 10, "activation": nn.GELU}, "width=10 can't be shared by heads=4 evenly"),
        (RNN, {"inputs": (6,), "vocabulary": 9, "task": "language_modelling", "bidirectional": True}, "sees the next token"),
        (RNN, {"inputs": (64,)}, r"rnn takes sequences .* not samples of shape \[64\]"),
        (RNN, {"inputs": (8, 8), "vocabulary": 9}, r"rnn takes tokens of shape \[length\], not samples of shape \[8, 8\]"),
    ],
)
def test_samples_that_do_not_fit_are_refused(factory: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        factory(outputs=3, **arguments)


def test_linear_can_begin_at_zeros() -> None:
    model = Linear((3,), 2, begin="zeros")
    assert not any(parameter.any() for parameter in model.parameters())
    assert Linear((3,), 2).output.weight.any()


def test_products_of_random_features_are_the_gaussian_kernel() -> None:
    from sklearn.metrics.pairwise import rbf_kernel

    model = RBF((5,), 1, features=200_000, gamma=0.3)
    inputs = torch.randn(10, 5)
    features = math.sqrt(2 / 200_000) * torch.cos(inputs @ model.frequencies + model.phases)
    assert np.abs((features @ features.T).numpy() - rbf_kernel(inputs.numpy(), gamma=0.3)).max() < 0.01
    torch.testing.assert_close(model(inputs), model.output(features), rtol=1e-3, atol=1e-4)


def test_random_features_are_saved_with_the_weights_and_not_trained() -> None:
    model = RBF((5,), 1)
    assert {"frequencies", "phases"} <= set(model.state_dict())
    assert {name for name, _ in model.named_parameters()} == {"output.weight", "output.bias"}
    assert float(model.frequencies.std()) == pytest.approx(math.sqrt(2 / 5), rel=0.05)
