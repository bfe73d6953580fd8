"""keras_mlp and keras_cnn beside weft's mlp and cnn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import nn

from weft_basics.models.cnn import CNN
from weft_basics.models.mlp import MLP
from weft_keras import KerasModel
from weft_keras.initialisation import Initializer
from weft_keras.models.cnn import cnn
from weft_keras.models.mlp import mlp


def same_weights(model: KerasModel, other: nn.Module) -> bool:
    """Whether two models have the same weights, to the bit, in the layouts of Keras and torch."""
    turned = {2: (1, 0), 4: (2, 3, 1, 0)}
    expected = [one.permute(turned[one.ndim]) if one.ndim in turned else one for one in other.parameters()]
    found = [*model.parameters()]
    return len(found) == len(expected) and all(map(torch.equal, found, expected))


@pytest.mark.parametrize(("width", "depth"), [(5, 1), (7, 3)])
@pytest.mark.parametrize("inputs", [(6,), (1, 8, 8), (12, 3)])
def test_mlp_begins_as_weft_s_and_draws_as_many_numbers(inputs: tuple[int, ...], width: int, depth: int) -> None:
    options: dict[str, Any] = {"width": width, "depth": depth, "activation": nn.Tanh, "output_activation": nn.Softplus}
    torch.manual_seed(5)
    theirs = MLP(inputs, 3, **options)
    after = torch.get_rng_state()
    torch.manual_seed(5)
    ours = mlp(inputs, 3, **options)
    assert torch.equal(torch.get_rng_state(), after)
    assert same_weights(ours, theirs)
    samples = torch.randn(4, *inputs).double()
    assert torch.allclose(ours.double()(samples), theirs.double()(samples), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("options", [{}, {"channels": [3], "kernel": 5, "pooling": "average"}])
def test_cnn_begins_as_weft_s_and_draws_as_many_numbers(options: dict[str, Any]) -> None:
    torch.manual_seed(5)
    theirs = CNN((2, 9, 8), 3, activation=nn.ReLU, **options)
    after = torch.get_rng_state()
    torch.manual_seed(5)
    ours = cnn((2, 9, 8), 3, activation=nn.ReLU, **options)
    assert torch.equal(torch.get_rng_state(), after)
    assert same_weights(ours, theirs)
    samples = torch.randn(4, 2, 9, 8).double()
    assert torch.allclose(ours.double()(samples), theirs.double()(samples), rtol=1e-12, atol=1e-13)


DEVIATIONS: dict[str, Callable[[int, int], float]] = {
    "glorot_uniform": lambda entering, leaving: (2 / (entering + leaving)) ** 0.5,
    "glorot_normal": lambda entering, leaving: (2 / (entering + leaving)) ** 0.5,
    "he_uniform": lambda entering, leaving: (2 / entering) ** 0.5,
    "he_normal": lambda entering, leaving: (2 / entering) ** 0.5,
    "lecun_uniform": lambda entering, leaving: (1 / entering) ** 0.5,
    "lecun_normal": lambda entering, leaving: (1 / entering) ** 0.5,
    "variance_scaling": lambda entering, leaving: (1 / entering) ** 0.5,
    "random_uniform": lambda entering, leaving: 0.1 / 12**0.5,
    "random_normal": lambda entering, leaving: 0.05,
    "truncated_normal": lambda entering, leaving: 0.05 * 0.88,
    "orthogonal": lambda entering, leaving: leaving**-0.5,
}


@pytest.mark.parametrize("initializer", DEVIATIONS)
def test_an_initialiser_s_weights_are_spread_as_it_says_and_come_from_torch_s_seed(initializer: Any) -> None:
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        weights.append(mlp((400,), 200, width=100, activation=nn.ReLU, output_activation=nn.Identity, initializer=initializer))
    kernel = weights[0].hidden_0.kernel.detach()
    entering, leaving = max(kernel.shape), min(kernel.shape)
    spread = DEVIATIONS[initializer](entering, leaving) if initializer != "orthogonal" else entering**-0.5
    assert float(kernel.std()) == pytest.approx(spread, rel=0.03)
    assert torch.equal(kernel, weights[1].hidden_0.kernel)
    assert not torch.equal(kernel, weights[2].hidden_0.kernel)
    assert bool((weights[0].hidden_0.bias == 0).all())


@pytest.mark.parametrize(("initializer", "value"), [("zeros", 0.0), ("ones", 1.0)])
def test_weights_can_all_be_the_same(initializer: Any, value: float) -> None:
    model = cnn((1, 8, 8), 3, activation=nn.ReLU, initializer=initializer)
    assert all(bool((model.get_parameter(f"{name}.kernel") == value).all()) for name in ("convolution_1", "output"))


def test_every_initialiser_is_tried_above() -> None:
    assert set(get_args(Initializer)) == {"torch", "zeros", "ones", *DEVIATIONS}


def test_two_layers_of_one_shape_begin_with_other_weights() -> None:
    model = mlp((8,), 8, width=8, activation=nn.ReLU, output_activation=nn.Identity, initializer="he_normal")
    assert not torch.equal(model.hidden_0.kernel, model.output.kernel)


def test_samples_that_they_can_t_take_are_refused() -> None:
    with pytest.raises(ValueError, match="keras_mlp takes numbers, and this dataset's samples are tokens; keras_rnn takes"):
        mlp((12,), 3, vocabulary=9, activation=nn.ReLU, output_activation=nn.Identity)
    with pytest.raises(ValueError, match=r"keras_cnn takes images of shape \[channels, height, width\], not samples of shape"):
        cnn((12,), 3, activation=nn.ReLU)
    with pytest.raises(ValueError, match=r"4 poolings halve the image \[8, 8\] to nothing"):
        cnn((1, 8, 8), 3, channels=[4, 4, 4, 4], activation=nn.ReLU)
    with pytest.raises(ValueError, match=r"channels=\[\] leaves no convolution"):
        cnn((1, 8, 8), 3, channels=[], activation=nn.ReLU)
