"""keras_rnn and keras_transformer: sequences, images by rows, tokens with padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from weft_basics.models.rnn import RNN
from weft_keras import KerasModel, keras
from weft_keras.backend import settings_of_a_model
from weft_keras.models.rnn import rnn
from weft_keras.models.transformer import transformer


def attention(*arguments: Any, **options: Any) -> KerasModel:
    return transformer(*arguments, activation=nn.GELU, **options)


MODELS: list[Callable[..., KerasModel]] = [rnn, attention]


def padded(tokens: Tensor, more: int) -> Tensor:
    return torch.cat([tokens, torch.zeros(len(tokens), more, dtype=torch.int64)], 1)


@pytest.mark.parametrize("make", MODELS)
def test_shapes(make: Callable[..., KerasModel]) -> None:
    assert make((12, 3), 5)(torch.randn(4, 12, 3)).shape == (4, 5)
    assert make((2, 7, 3), 5)(torch.randn(4, 2, 7, 3)).shape == (4, 5)
    tokens = torch.randint(1, 9, (4, 12))
    assert make((12,), 5, vocabulary=9)(tokens).shape == (4, 5)
    for task in ("sequence_labelling", "language_modelling"):
        assert make((12,), 5, vocabulary=9, task=task)(tokens).shape == (4, 12, 5)


@pytest.mark.parametrize("make", MODELS)
def test_an_image_is_read_by_rows_with_its_channels_side_by_side(make: Callable[..., KerasModel]) -> None:
    torch.manual_seed(0)
    of_images = make((2, 7, 3), 5).eval()
    torch.manual_seed(0)
    of_rows = make((7, 6), 5).eval()
    images = torch.randn(4, 2, 7, 3)
    assert torch.allclose(of_images(images), of_rows(images.transpose(1, 2).flatten(2)), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        *((rnn, {"cell": cell, "pooling": pooling}) for cell in ("lstm", "gru", "rnn") for pooling in ("last", "mean")),
        *((rnn, {"bidirectional": True, "layers": 2, "pooling": pooling}) for pooling in ("last", "mean")),
        (attention, {}),
    ],
)
def test_padding_changes_nothing(make: Callable[..., KerasModel], options: dict[str, Any]) -> None:
    model = make((12,), 5, vocabulary=9, **options).eval()
    short = torch.randint(1, 9, (4, 7))
    whole = padded(short, 5)
    together = torch.cat([whole, torch.randint(1, 9, (2, 12))])
    changed = whole.clone()
    changed[:, :7] = short.flip(1)
    assert torch.allclose(model(whole), model(together)[:4], atol=1e-6)
    assert not torch.allclose(model(whole), model(changed), atol=1e-4)
    if make is rnn:
        assert torch.allclose(model(short), model(whole), atol=1e-6)


@pytest.mark.parametrize("make", MODELS)
def test_the_next_token_is_not_seen(make: Callable[..., KerasModel]) -> None:
    model = make((12,), 9, vocabulary=9, task="language_modelling").eval()
    tokens = torch.randint(1, 9, (4, 12))
    other = tokens.clone()
    other[:, 8:] = other[:, 8:] % 8 + 1
    before, after = model(tokens), model(other)
    assert torch.allclose(before[:, :8], after[:, :8], atol=1e-6)
    assert not torch.allclose(before[:, 8:], after[:, 8:], atol=1e-4)


def test_both_directions_where_the_next_token_is_asked_are_refused() -> None:
    with pytest.raises(ValueError, match="bidirectional=true sees the next token, and this dataset asks for it; take false"):
        rnn((12,), 9, vocabulary=9, task="language_modelling", bidirectional=True)
    assert rnn((12,), 9, vocabulary=9, task="sequence_labelling", bidirectional=True)(torch.ones(2, 12).long()).shape == (
        2,
        12,
        9,
    )


@pytest.mark.parametrize("make", MODELS)
def test_samples_that_are_no_sequences_are_refused(make: Callable[..., KerasModel]) -> None:
    with pytest.raises(ValueError, match=r"takes sequences of shape \[length, features\] or .* not samples of shape \[6\]"):
        make((6,), 3)
    with pytest.raises(ValueError, match=r"takes tokens of shape \[length\], not samples of shape \[2, 6\]"):
        make((2, 6), 3, vocabulary=9)


def test_heads_that_can_t_share_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="width=10 can't be shared by heads=4 evenly"):
        attention((12, 3), 5, width=10)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("vocabulary", [None, 9])
def test_with_the_initializer_torch_a_network_begins_with_what_torch_s_layers_compute(
    cell: Any, vocabulary: int | None
) -> None:
    inputs = (12, 3) if vocabulary is None else (12,)
    samples = torch.randn(4, 12, 3) if vocabulary is None else torch.randint(1, 9, (4, 12))
    model = rnn(inputs, 5, vocabulary=vocabulary, cell=cell, hidden=7, initializer="torch")
    theirs = RNN(inputs, 5, vocabulary=vocabulary, cell=cell, hidden=7)
    torch.manual_seed(0)
    ours = rnn(inputs, 5, vocabulary=vocabulary, cell=cell, hidden=7, initializer="torch")
    torch.manual_seed(0)
    torch.randint(2**62, ())  # Keras's seed, which nothing here is drawn from
    theirs = RNN(inputs, 5, vocabulary=vocabulary, cell=cell, hidden=7)
    assert torch.allclose(ours(samples), theirs(samples), atol=1e-6)
    assert not torch.allclose(model(samples), ours(samples), atol=1e-3)


def test_weights_come_from_torch_s_seed_and_python_s_generator_stays_as_it_was() -> None:
    import random

    random.seed(4)
    state = random.getstate()
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(attention((12, 3), 5))
    assert random.getstate() == state
    same = [torch.equal(one, other) for one, other in zip(found[0].parameters(), found[1].parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(found[0].output.kernel, found[2].output.kernel)


def test_attention_without_padding_is_that_of_a_keras_model_of_the_same_layers() -> None:
    model = attention((12, 3), 5, depth=1).eval()
    inputs = torch.randn(4, 12, 3)
    with settings_of_a_model():
        assert torch.allclose(model.net(inputs, training=False), model(inputs), atol=1e-5)
    assert keras.backend.backend() == "torch"
