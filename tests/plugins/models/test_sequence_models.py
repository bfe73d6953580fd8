"""Recurrent networks and transformers: torch's own with the same weights, padding, causality, one answer or one a step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from weft_basics.models.rnn import RNN
from weft_basics.models.transformer import Attention, Transformer
from weft_basics.sequences import PADDING

TOKENS, LENGTH, CLASSES = 11, 9, 4
EACH_STEP = ("sequence_labelling", "language_modelling")


def made(kind: str, task: str = "classification", **options: Any) -> nn.Module:
    given: dict[str, Any] = {"inputs": (LENGTH,), "outputs": CLASSES, "vocabulary": TOKENS, "task": task, **options}
    if kind == "transformer":
        return Transformer(**{"width": 16, "activation": nn.GELU, **given}).double()
    return RNN(**{"cell": kind, "hidden": 12, "embedding": 5, **given}).double()


def tokens(samples: int = 3) -> Tensor:
    return torch.randint(2, TOKENS, (samples, LENGTH))


ALL = ("rnn", "lstm", "gru", "transformer")


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("cell", "theirs"), [("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_a_recurrent_network_is_torch_s_with_its_weights(
    cell: str, theirs: type[nn.RNNBase], bidirectional: bool, layers: int
) -> None:
    model = made(cell, "sequence_labelling", layers=layers, bidirectional=bidirectional)
    reference = theirs(5, 12, layers, batch_first=True, bidirectional=bidirectional).double()
    model.recurrent.load_state_dict(reference.state_dict())
    inputs = tokens()
    states, last = reference(model.embedding(inputs))
    torch.testing.assert_close(model(inputs), states @ model.output.weight.T + model.output.bias)

    one = made(cell, layers=layers, bidirectional=bidirectional)
    one.load_state_dict(model.state_dict())
    hidden = last[0] if cell == "lstm" else last  # (layers · directions, samples, hidden): the last layer's come last
    final = torch.cat([hidden[-2], hidden[-1]], dim=1) if bidirectional else hidden[-1]
    torch.testing.assert_close(one(inputs), final @ model.output.weight.T + model.output.bias)


def test_an_lstm_step_by_step_is_the_formula() -> None:
    model = made("lstm", "sequence_labelling")
    inputs = tokens(1)
    weights = dict(model.recurrent.named_parameters())
    state = cell = torch.zeros(12, dtype=torch.float64)
    found = []
    for token in model.embedding(inputs)[0]:
        gates = (
            weights["weight_ih_l0"] @ token + weights["bias_ih_l0"] + weights["weight_hh_l0"] @ state + weights["bias_hh_l0"]
        )
        enter, forget, new, out = gates.chunk(4)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
        state = torch.sigmoid(out) * torch.tanh(cell)
        found.append(model.output(state))
    torch.testing.assert_close(model(inputs)[0], torch.stack(found))


def test_a_transformer_is_torch_s_encoder_with_its_weights() -> None:
    model = made("transformer", "sequence_labelling")
    layers = nn.TransformerEncoderLayer(16, 4, 64, 0.0, "gelu", batch_first=True, norm_first=True)
    reference = nn.TransformerEncoder(layers, 2, enable_nested_tensor=False).double()
    for block, theirs in zip(model.blocks, reference.layers, strict=True):
        attention = block.attention
        projections = (attention.queries, attention.keys, attention.values)
        theirs.self_attn.in_proj_weight.data = torch.cat([projection.weight for projection in projections])
        theirs.self_attn.in_proj_bias.data = torch.cat([projection.bias for projection in projections])
        theirs.self_attn.out_proj.load_state_dict(attention.output.state_dict())
        theirs.norm1.load_state_dict(block.attention_norm.state_dict())
        theirs.norm2.load_state_dict(block.hidden_norm.state_dict())
        theirs.linear1.load_state_dict(block.hidden.state_dict())
        theirs.linear2.load_state_dict(block.output.state_dict())
    inputs = tokens(5)
    inputs[1, 6:] = PADDING
    states = model.embedding(inputs) + model.positions.weight
    expected = model.output(model.norm(reference(states, src_key_padding_mask=inputs == PADDING)))
    torch.testing.assert_close(model(inputs)[inputs != PADDING], expected[inputs != PADDING])

    causal = made("transformer", "language_modelling")
    causal.load_state_dict(model.state_dict())
    full = tokens(5)
    states = model.embedding(full) + model.positions.weight
    above = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    expected = model.output(model.norm(reference(states, mask=above)))
    torch.testing.assert_close(causal(full), expected)


def test_attention_by_hand() -> None:
    attention = Attention(6, 2).double()
    states = torch.randn(1, 4, 6, dtype=torch.float64)
    mask = torch.ones(1, 1, 4, 4, dtype=torch.bool).tril()
    heads = []
    for head in (slice(0, 3), slice(3, 6)):
        query, key, value = (project(states[0])[:, head] for project in (attention.queries, attention.keys, attention.values))
        scores = (query @ key.T / 3**0.5).masked_fill(~mask[0, 0], -torch.inf)
        heads.append(scores.softmax(1) @ value)
    torch.testing.assert_close(attention(states, mask)[0], attention.output(torch.cat(heads, dim=1)))


@pytest.mark.parametrize("task", EACH_STEP)
@pytest.mark.parametrize("kind", ALL)
def test_an_answer_at_each_step_where_the_task_asks_for_it(kind: str, task: str) -> None:
    assert made(kind, task)(tokens()).shape == (3, LENGTH, CLASSES)
    assert made(kind)(tokens()).shape == (3, CLASSES)
    assert made(kind, "regression")(tokens()).shape == (3, CLASSES)


@pytest.mark.parametrize("kind", ALL)
def test_a_language_model_sees_nothing_of_what_comes(kind: str) -> None:
    """By its values, whatever is put there, and by its gradients."""
    model = made(kind, "language_modelling")
    inputs = tokens()
    before = model(inputs)
    for place in range(1, LENGTH):
        other = inputs.clone()
        other[:, place:] = torch.randint(2, TOKENS, (3, LENGTH - place))
        torch.testing.assert_close(model(other)[:, :place], before[:, :place])
    vectors = model.embedding(inputs).detach().requires_grad_()
    model.embedding = nn.Identity()
    model(vectors)[0, 4].sum().backward()
    assert vectors.grad is not None
    assert not vectors.grad[0, 5:].any()
    assert vectors.grad[0, :5].abs().sum(1).min() > 0


@pytest.mark.parametrize("kind", ["transformer", "lstm"])
def test_a_labeller_sees_both_sides(kind: str) -> None:
    options = {} if kind == "transformer" else {"bidirectional": True}
    model = made(kind, "sequence_labelling", **options)
    inputs = tokens()
    other = inputs.clone()
    other[:, -1] = (inputs[:, -1] - 1) % (TOKENS - 2) + 2
    assert (model(other)[:, 0] - model(inputs)[:, 0]).abs().max() > 1e-9


@pytest.mark.parametrize("task", ["classification", "sequence_labelling"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [*((kind, {}) for kind in ALL), ("lstm", {"bidirectional": True, "layers": 2}), ("gru", {"pooling": "mean"})],
)
def test_padding_changes_nothing(kind: str, options: dict[str, Any], task: str) -> None:
    model = made(kind, task, **options)
    inputs = tokens()
    inputs[1, 5:] = PADDING
    inputs[2, 1:] = PADDING
    found = model(inputs)
    for sample, length in ((1, 5), (2, 1)):
        shorter = model(inputs[sample : sample + 1, :length])
        torch.testing.assert_close(
            found[sample : sample + 1] if shorter.ndim == 2 else found[sample : sample + 1, :length], shorter
        )


@pytest.mark.parametrize("kind", ALL)
def test_a_sample_of_nothing_but_padding_has_a_finite_answer(kind: str) -> None:
    inputs = tokens()
    inputs[0] = PADDING
    found = made(kind)(inputs)
    found.sum().backward()
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("kind", ALL)
def test_a_sample_does_not_see_the_others(kind: str) -> None:
    model = made(kind)
    inputs = tokens(4)
    inputs[2, 3:] = PADDING
    torch.testing.assert_close(model(inputs), torch.cat([model(sample[None]) for sample in inputs]))


def test_the_mean_of_the_states_can_stand_for_a_sequence() -> None:
    model = made("gru", pooling="mean")
    inputs = tokens(2)
    inputs[1, 4:] = PADDING
    states, _ = model.recurrent(model.embedding(inputs))
    expected = torch.stack([states[0].mean(0), states[1, :4].mean(0)])
    torch.testing.assert_close(model(inputs), model.output(expected))
