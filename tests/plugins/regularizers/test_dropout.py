"""Dropout on models that know nothing of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from weft import UserError
from weft_basics.models.cnn import CNN
from weft_basics.models.mlp import MLP
from weft_basics.models.rnn import RNN
from weft_basics.regularizers.dropout import Dropout, weighted_layers


class Seen:
    """What enters a layer."""

    def __init__(self, layer: nn.Module):
        layer.register_forward_pre_hook(self.look)

    def look(self, module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        self.entered = arguments[0]


def attached(model: nn.Module, p: float = 0.3) -> Dropout:
    dropout = Dropout(model, p)
    dropout.attach(model)
    return dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_dropped_and_scale_of_what_is_kept(p: float) -> None:
    model = nn.Sequential(nn.Linear(4, 5000), nn.Linear(5000, 2))
    attached(model, p)
    seen = Seen(model[1])
    plain = model[0](inputs := torch.randn(20, 4))
    model(inputs)
    kept = seen.entered != 0
    deviation = (p * (1 - p) / kept.numel()) ** 0.5
    assert abs(float(kept.float().mean()) - (1 - p)) < 5 * deviation
    torch.testing.assert_close(seen.entered[kept], plain[kept] / (1 - p))


def test_the_first_layer_sees_everything() -> None:
    model = nn.Sequential(nn.Linear(50, 5), nn.Linear(5, 2))
    seen = Seen(model[0])
    attached(model)
    inputs = torch.randn(3, 50)
    model(inputs)
    assert torch.equal(seen.entered, inputs)


def test_evaluation_drops_nothing() -> None:
    model = MLP((6,), 3, activation=nn.ReLU, output_activation=nn.Identity).eval()
    inputs = torch.randn(4, 6)
    plain = model(inputs)
    attached(model, 0.9)
    assert torch.equal(model(inputs), plain)
    assert not torch.equal(model.train()(inputs), plain)


def test_a_layer_that_is_frozen_in_evaluation_drops_nothing_and_is_no_error() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 3))
    dropout = attached(model, 0.9)
    model[1].eval()
    inputs = torch.randn(4, 6)
    assert torch.equal(model(inputs), model[1](model[0](inputs)))
    dropout.weights(model)


def test_nothing_is_dropped_at_zero() -> None:
    model = MLP((6,), 3, activation=nn.ReLU, output_activation=nn.Identity)
    inputs = torch.randn(4, 6)
    plain = model(inputs)
    attached(model, 0.0)
    assert torch.equal(model(inputs), plain)


@pytest.mark.parametrize(
    ("model", "shape", "layers"),
    [
        (MLP((6,), 3, depth=3, activation=nn.ReLU, output_activation=nn.Identity), (6,), ["hidden.1", "hidden.2", "output"]),
        (CNN((1, 8, 8), 3, activation=nn.ReLU), (1, 8, 8), ["convolutions.1", "output"]),
        (RNN((8, 4), 3), (8, 4), ["output"]),
        (nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2)), (4,), ["3"]),
    ],
)
def test_every_weighted_layer_after_the_first(model: nn.Module, shape: tuple[int, ...], layers: list[str]) -> None:
    dropout = attached(model)
    assert sorted(dropout.silent) == layers
    model(torch.randn(5, *shape))
    dropout.weights(model)


def test_recurrent_layers_take_dropped_steps() -> None:
    model = RNN((7,), 3, vocabulary=11, embedding=300)
    seen = Seen(model.recurrent)
    attached(model, 0.5)
    seen_after = Seen(model.recurrent)
    model(torch.randint(11, (4, 7)))
    assert 0.45 < float((seen_after.entered == 0).float().mean()) < 0.55
    assert float((seen.entered == 0).float().mean()) == 0


def test_packed_sequences_are_dropped_inside() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.recurrent = nn.Linear(50, 50), nn.GRU(50, 4, batch_first=True)

        def forward(self, inputs: Tensor) -> Tensor:
            packed = pack_padded_sequence(self.first(inputs), torch.tensor([6, 3]), batch_first=True)
            _, state = self.recurrent(packed)
            return state[-1]

    model = Packed()
    attached(model, 0.5)
    seen = Seen(model.recurrent)
    assert model(torch.randn(2, 6, 50)).shape == (2, 4)
    assert isinstance(seen.entered, PackedSequence)
    assert 0.3 < float((seen.entered.data == 0).float().mean()) < 0.7


def test_a_layer_that_is_called_by_keyword() -> None:
    class ByName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.last(input=self.first(input=inputs))

    model = ByName()
    dropout = attached(model, 0.99)
    model(torch.randn(3, 4))
    dropout.weights(model)
    with torch.no_grad():
        model.last.bias.zero_()
    assert float((model(torch.ones(1, 4)) == 0).float().mean()) > 0


def test_a_layer_whose_weights_are_used_behind_its_back_is_an_error() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            return nn.functional.linear(self.first(inputs), self.last.weight)

    model = Tied()
    dropout = attached(model)
    model(torch.randn(3, 4))
    with pytest.raises(UserError, match="last of Tied never ran as a module, so nothing was dropped there"):
        dropout.weights(model)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), "Sequential has only 1"),
        (nn.Linear(4, 2), "Linear has only itself"),
        (nn.LayerNorm(4), "LayerNorm has none"),
    ],
)
def test_a_model_with_one_layer_is_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dropout(model)


def test_the_model_s_names_stay() -> None:
    model = MLP((6,), 3, activation=nn.ReLU, output_activation=nn.Identity)
    names = [*model.state_dict()]
    attached(model)
    assert [*model.state_dict()] == names


def test_weighted_layers_are_leaves_with_matrices() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 2))
    assert [*weighted_layers(model)] == ["1.0", "2"]
