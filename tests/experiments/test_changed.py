"""An experiment of which one part is replaced: what was set for the part that went doesn't stay behind."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from weft import ConfigError, compose


@pytest.fixture(autouse=True)
def _said_anew() -> None:
    compose._say_once.cache_clear()


@pytest.mark.parametrize(
    ("experiment", "change", "left_out"),
    [
        ("lasso", "regularizer=none", ["regularizer.proximal_l1={weight: 0.1}"]),
        ("lasso", "regularizer=l1", ["regularizer.proximal_l1={weight: 0.1}"]),
        ("lasso", "regularizer=[proximal_l1,max_norm]", []),
        ("rbf_svm", "dataset=digits", ["dataset.samples=4000", "dataset.noise=0.25"]),
        ("cnn", "model=mlp", ["model.channels=[32, 64]"]),
        ("mlp", "optimizer=sgd", []),
        ("mlp", "model.width=3", []),
    ],
)
def test_options_of_a_part_that_was_replaced_are_left_out_and_said(
    experiment: str, change: str, left_out: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "weft")
    with compose.hydra_app() as hydra:
        for _ in range(2):  # as a sweep reads a job
            compose.read(compose.compose(hydra, [f"+experiment={experiment}", change]), [f"+experiment={experiment}", change])
    assert [record.getMessage().partition(":")[0] for record in caplog.records if "left out" in record.getMessage()] == [
        text.partition(":")[0] for text in left_out
    ]


@pytest.mark.parametrize(
    ("change", "here"),
    [
        ("dataset=friedman", {"dataset=diabetes": "dataset=friedman"}),
        ("dataset.test=0.3", {"dataset.test=0.15": "dataset.test=0.3"}),
        ("split_seed=1", {"split_seed=0": "split_seed=1"}),
        ("loss=mae", {"loss=mse": "loss=mae"}),
        ("regularizer.l2.weight=1", {"regularizer.l2.weight=0.05": "regularizer.l2.weight=1.0"}),
        ("regularizer=[l2,l1]", {"regularizer=l2": "regularizer=l2+l1"}),
        (
            "regularizer=none",
            {"regularizer=l2": "regularizer=none", "regularizer.l2.weight=0.05": "regularizer.l2.weight=none"},
        ),
        ("dataset=diabetes", None),
        ("regularizer.l2.weight=5e-2", None),
        ("metric=[mae]", None),
        ("optimizer.max_iter=10", None),
        ("seed=3", None),
    ],
)
def test_a_reference_is_held_where_it_holds(change: str, here: dict[str, str] | None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "weft")
    found, _ = compose.configured(["+experiment=ridge", change])
    assert (found.settings.reference.score == "test/loss") == (here is None)
    said = [record.getMessage() for record in caplog.records if "no reference" in record.getMessage()]
    where, instead = ", ".join(here or {}), ", ".join((here or {}).values())
    assert said == ([f"no reference: test/loss is known where {where}, and here is {instead}"] if here else [])
    caplog.clear()
    compose.configured(["+experiment=ridge", change])  # in a notebook, again
    assert [record.getMessage() for record in caplog.records if "no reference" in record.getMessage()] == said


def test_a_reference_goes_with_its_metric_and_one_that_is_typed_stays(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "weft")
    assert compose.configured(["+experiment=mlp", "metric=[f1]"])[0].settings.reference.score is None
    assert "no reference: test/accuracy is none of the metrics that were chosen, f1" in caplog.text
    assert compose.configured(["+experiment=mlp", "metric=[f1,accuracy]"])[0].settings.reference.score == "test/accuracy"
    typed, _ = compose.configured(["+experiment=mlp", "dataset=breast_cancer", "reference.at_least=0.9"])
    assert typed.settings.reference.at_least == 0.9
    overrides = ["+experiment=mlp", "dataset=breast_cancer", "reference.at_least=0.9", "reference.where=['dataset=digits']"]
    assert compose.configured(overrides)[0].settings.reference.score is None


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("datset=digits", r"'datset=digits' is no setting and its value, such as dataset=digits \(did you mean 'dataset'\?\)"),
        ("digits", "'digits' is no setting and its value"),
    ],
)
def test_a_condition_that_is_none_is_refused(tmp_path: Path, where: str, message: str) -> None:
    (tmp_path / "experiment").mkdir()
    text = f"# @package _global_\nreference: {{score: test/loss, at_most: 1, where: [{where}]}}\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        compose.configured(["+experiment=mine"], str(tmp_path))


def test_a_misspelt_option_of_a_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "wide.yaml").write_text("defaults: [mlp]\nwidht: 512\n")
    with pytest.raises(ConfigError, match=r"model.widht: .* has no option 'widht' \(did you mean 'width'\?\)"):
        compose.configured(["model=wide"], str(tmp_path))
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nregularizer: {dropuot: {p: 0.1}}\n")
    with pytest.raises(ConfigError, match="regularizer.dropuot"):
        compose.configured(["+experiment=mine", "regularizer=l2"], str(tmp_path))


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
