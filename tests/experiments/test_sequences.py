"""Recurrent networks and transformers on real text: below a trigram model's bits, above each token's majority label."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.experiments.fitting import by_the_majority, by_trigrams, fit, scores
from weft.state import Run

SHARED = Path(__file__).parents[3] / "shared" / "data"

MODELS = ["rnn", "lstm", "gru", "transformer"]
LONG = pytest.mark.accept


def is_below_a_trigram_model(run: Run) -> bool:
    return scores(run, "test")["test/bits_per_token"] < by_trigrams(run.data)


def test_an_lstm_knows_more_of_english_than_a_trigram_model_after_a_few_epochs() -> None:
    assert is_below_a_trigram_model(fit("language_model", "epochs=3"))


@LONG
@pytest.mark.parametrize("name", MODELS)
def test_each_kind_of_network_knows_more_of_english_than_a_trigram_model(name: str) -> None:
    larger = [] if name == "transformer" else ["model.hidden=192", "epochs=10"]
    assert is_below_a_trigram_model(fit(name, "dataset=python_topics", *larger))


@pytest.mark.parametrize("name", ["rnn", "transformer", *(pytest.param(name, marks=LONG) for name in ("lstm", "gru"))])
def test_each_kind_of_network_labels_better_than_by_the_majority(name: str) -> None:
    smaller = ["model.width=64"] if name == "transformer" else []
    run = fit(name, "dataset=python_tokens", "epochs=2", *smaller)
    assert scores(run, "test")["test/accuracy"] > by_the_majority(run.data) + 0.1


def test_both_sides_are_better_than_one() -> None:
    one = fit("sequence_labelling", "model.bidirectional=false", "model.hidden=48", "epochs=2")
    both = fit("sequence_labelling", "model.hidden=48", "epochs=2")
    assert scores(both, "test")["test/loss"] < scores(one, "test")["test/loss"]


@LONG
@pytest.mark.parametrize("name", MODELS)
def test_each_kind_of_network_tells_texts_apart(name: str) -> None:
    """Far better than by the class that most texts have."""
    recurrent = ["dataset=python_packages", "regularizer=dropout", "model.pooling=mean"]
    run = fit("text_classification") if name == "transformer" else fit(name, *recurrent)
    labels = run.data.splits["test"][1]
    most = float(torch.bincount(labels).max()) / len(labels)
    assert scores(run, "test")["test/accuracy"] > most + 0.2


@LONG
def test_shakespeare_in_fewer_than_two_and_a_fifth_bits() -> None:
    path = SHARED / "tinyshakespeare.txt"
    if not path.is_file():
        pytest.skip(f"there is no {path.name} beside the project")
    run = fit("language_model", "dataset=text", f"dataset.path={path}")
    assert is_below_a_trigram_model(run)
    assert scores(run, "test")["test/bits_per_token"] < 2.2
