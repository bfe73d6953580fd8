"""The conformance suite: what is right passes, what is wrong in one way is found by the check for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.core.testing import wrong
from weft.catalog import Component, catalog, local
from weft.testing import suite
from weft.testing.outcome import Card, Verdict
from weft.testing.subject import Subject


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is wrong writes where it likes, and changes the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRESUMED", "")


def subject(kind: str, factory: Any, component: type[Component] = Component) -> Subject:
    """Return a factory as a subject, offered beside what is in the box."""
    loaded = local(kind, factory)
    offered = component(**vars(loaded.component))
    (made,) = suite.subjects([offered], catalog(), {})
    made.catalog.add(offered)
    made.catalog.loaded[kind, offered.name] = replace(loaded, component=offered)
    return made


def conclude(made: Subject, name: str) -> tuple[Verdict, str]:
    (check,) = [check for check in suite.checks(made.kind) if check.name == name]
    outcome = suite.conclude(made, check)
    return outcome.verdict, outcome.detail


def details(card: Card, verdict: Verdict) -> dict[str, str]:
    return {outcome.check: outcome.detail for outcome in card.of(verdict)}


@pytest.mark.parametrize(("kind", "check", "factory", "says"), wrong.FAILING)
def test_what_is_wrong_in_one_way_is_found(kind: str, check: str, factory: Any, says: str) -> None:
    verdict, detail = conclude(subject(kind, factory), check)
    assert (verdict, says in detail) == (Verdict.FAILED, True), detail


@pytest.mark.parametrize(("kind", "check", "factory", "says"), wrong.LACKING)
def test_a_capability_that_is_lacking_is_told_and_is_no_failure(kind: str, check: str, factory: Any, says: str) -> None:
    verdict, detail = conclude(subject(kind, factory), check)
    assert (verdict, says in detail, bool(detail)) == (Verdict.CANNOT, True, True), detail


@pytest.mark.parametrize(("kind", "factory"), wrong.RIGHT)
def test_what_is_right_conforms(kind: str, factory: Any) -> None:
    card = suite.card(subject(kind, factory))
    assert card.conforms, card.of(Verdict.FAILED)
    assert card.versions["torch"] == str(torch.__version__)
    assert ("step_seconds" in card.measures) == (kind not in ("dataset", "task"))


def test_every_check_has_something_wrong_that_it_finds() -> None:
    shown = {(kind, check) for kind, check, _, _ in [*wrong.FAILING, *wrong.LACKING]}
    everywhere = {check for _, check in shown} | {"options", "cuda"}  # these two: below
    for kind in suite.KINDS:
        for check in suite.checks(kind):
            assert (kind, check.name) in shown or check.name in everywhere, (kind, check.name)
            assert check.says.endswith("."), check.name


def test_options_that_a_cache_loses_are_found() -> None:
    class Lossy(Component):
        def dump(self) -> dict[str, Any]:
            return {**super().dump(), "options": []}

    assert conclude(subject("optimizer", wrong.Descent, Lossy), "options")[0] is Verdict.FAILED
    assert conclude(subject("optimizer", wrong.Descent), "options")[0] is Verdict.PASSED


@pytest.mark.gpu
def test_another_model_on_a_gpu_is_found() -> None:
    assert conclude(subject("model", wrong.OffTheCpu), "cuda")[0] is Verdict.FAILED
    assert conclude(subject("model", wrong.Plain), "cuda")[0] is Verdict.PASSED


def test_what_says_that_it_cannot_is_believed_as_long_as_it_is_so() -> None:
    class Surrogate(wrong.HalfTaught):
        """A linear model with a gradient of its own."""

        cannot = {"gradients": "half is enough"}

    class Modest(wrong.Plain):
        """A linear model that could."""

        cannot = {"gradients": "they are hard"}

    assert conclude(subject("model", Surrogate), "gradients") == (Verdict.CANNOT, "as it says: half is enough")
    verdict, detail = conclude(subject("model", Modest), "gradients")
    assert (verdict, "and it can" in detail) == (Verdict.FAILED, True)


def test_what_must_be_given_an_option_is_checked_with_it() -> None:
    def scaled(outputs: torch.Tensor, targets: torch.Tensor, scale: float) -> Any:
        """A squared error times a scale."""
        return scale * ((outputs - targets) ** 2).mean()

    scaled.tasks = ("regression",)  # type: ignore[attr-defined]
    made = subject("loss", scaled)
    assert conclude(made, "scalar") == (Verdict.SKIPPED, "it must be given scale")
    given = replace(made, given={"scale": 2.0})
    assert conclude(given, "scalar")[0] is Verdict.PASSED


class TestWhatSaysWhatItIsToBeTriedBeside:
    def test_a_regularizer_for_certain_models_is_put_to_every_check(self) -> None:
        class Width:
            """A penalty on the kernels of a convolution."""

            def __init__(self, model: nn.Module):
                if not any(isinstance(module, nn.Conv2d) for module in model.modules()):
                    raise ValueError("it is for models with convolutions")

            def penalty(self, model: nn.Module, outputs: torch.Tensor) -> Any:
                return sum(one.weight.square().sum() for one in model.modules() if isinstance(one, nn.Conv2d))

        alone = suite.card(subject("regularizer", Width))
        assert "it is for models with convolutions" in details(alone, Verdict.FAILED)["defaults"]

        class Beside(Width):
            """A penalty on the kernels of a convolution."""

            beside = {"model": {"name": "cnn", "channels": [2]}}

        card = suite.card(subject("regularizer", Beside))
        assert card.conforms, card.of(Verdict.FAILED)
        assert card.data == ("images",)

    def test_a_loss_for_a_task_of_its_own_has_a_dataset_of_its_own(self) -> None:
        def counted(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            """The squared error of a logarithm."""
            return (outputs - targets.log1p()).square().mean()

        class Counting(wrong.Task):
            """Counting: one number that is not below zero."""

            loss = "counted"

        class Counts(wrong.Points):
            """Points, and how many of something there are."""

            task, outputs = "counting", 1

            def pair(self, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                return inputs, labels[:, None].float()

        counted.tasks = ("counting",)  # type: ignore[attr-defined]
        made = subject("loss", counted)
        for kind, factory in (("task", Counting), ("dataset", Counts)):
            offered = local(kind, factory)
            made.catalog.add(offered.component)
            made.catalog.loaded[kind, offered.component.name] = offered
        assert conclude(made, "scalar")[0] is Verdict.SKIPPED
        counted.beside = {"dataset": {"name": "counts"}}  # type: ignore[attr-defined]
        card = suite.card(replace(made))
        assert card.conforms, card.of(Verdict.FAILED)
        assert details(card, Verdict.SKIPPED).keys() <= {"cuda", "ranges"}

    def test_what_there_is_no_such_part_of_is_said(self) -> None:
        class Misled(wrong.Descent):
            """A descent beside a model that there isn't."""

            beside = {"model": {"name": "nnm"}}

        verdict, detail = conclude(subject("optimizer", Misled), "defaults")
        assert (verdict, "nnm" in detail) == (Verdict.FAILED, True)
