"""An experiment of which one part is replaced: what was set for the part that went doesn't stay behind."""

from __future__ import annotations

import logging

import pytest

from weft import ConfigError, compose

REFERENCE = "reference={score"


@pytest.fixture(autouse=True)
def _said_anew() -> None:
    compose._say_once.cache_clear()


@pytest.mark.parametrize(
    ("experiment", "change", "left_out"),
    [
        ("lasso", "regularizer=none", ["regularizer.proximal_l1={weight: 0.1}"]),
        ("lasso", "regularizer=l1", ["regularizer.proximal_l1={weight: 0.1}"]),
        ("lasso", "regularizer=[proximal_l1,max_norm]", []),
        ("rbf_svm", "dataset=digits", ["dataset.samples=4000", "dataset.noise=0.25", REFERENCE]),
        ("cnn", "model=mlp", ["model.channels=[32, 64]"]),
        ("cnn", "dataset=tones", [REFERENCE]),
        ("ridge", "loss=mae", [REFERENCE]),
        ("mlp", "loss=hinge", []),
        ("transformer", "metric=accuracy", [REFERENCE]),
        ("transformer", "metric=[accuracy,bits_per_token]", []),
        ("ridge", "metric=mae", []),
        ("mlp", "metric=none", []),
        ("mlp", "optimizer=sgd", []),
        ("mlp", "model.width=3", []),
    ],
)
def test_options_of_a_part_that_was_replaced_are_left_out_and_said(
    experiment: str, change: str, left_out: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "weft")
    for _ in range(2):  # a sweep reads a job twice
        found, _ = compose.configured([f"+experiment={experiment}", change])
    assert [record.getMessage().partition(":")[0] for record in caplog.records if "left out" in record.getMessage()] == [
        text.partition(":")[0] for text in left_out
    ]
    assert (found.settings.reference.score is None) == (REFERENCE in left_out)


def test_a_reference_that_was_typed_holds_for_whatever_was_chosen() -> None:
    found, _ = compose.configured(["+experiment=cnn", "dataset=tones", "reference.at_least=0.5"])
    assert (found.settings.reference.score, found.settings.reference.at_least) == ("test/accuracy", 0.5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+experiment=cnn", "regularizer=none", "+regularizer.l2.weight=3"], r"regularizer.l2: {weight: 3} is not a choice"),
        (["+experiment=cnn", "model=mlp", "+model.kernel=3"], r"model.kernel: model mlp of weft .* has no option 'kernel'"),
        (["+experiment=cnn", "model=mlp", "+model._target_=os.system"], "_target_ is not allowed"),
        (["+experiment=cnn", "+regularizer.dropuot.p=0.1"], "regularizer.dropuot"),
    ],
)
def test_what_was_typed_is_never_left_out(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose.configured(overrides)
