"""The box as a whole: cheap to import, nothing left out, every number bounded."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from tests.plugins.box import box, names
from weft.options import MISSING
from weft.typed import Type

HEAVY = ("torch", "numpy", "sklearn", "torchmetrics", "pandas")

COMPONENTS = sorted(box())

REQUIRED = {
    ("dataset", "csv"): {"path", "target"},
    ("dataset", "text"): {"path"},
    ("dataset", "text_folder"): {"path"},
    ("dataset", "image_folder"): {"path"},
    ("dataset", "idx"): {"path"},
    ("dataset", "sound_folder"): {"path"},
}
"""Options without a default; everything else can be chosen by its name alone."""


def test_importing_and_listing_it_imports_nothing_heavy() -> None:
    code = f"""
import sys
from weft.catalog import collect
offers = collect("basics", "weft_basics")
assert len(offers) > 60
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_kind_is_in_the_box() -> None:
    from weft.kinds import KINDS

    assert {kind for kind, _ in COMPONENTS} == set(KINDS)


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_parameter_is_an_option_supplied_or_fixed(kind: str, name: str) -> None:
    """An option whose default is out of its own range, or that can't be typed, would silently be left out."""
    loaded = box()[kind, name]
    parameters = list(inspect.signature(loaded.factory).parameters.values())
    if loaded.signature.bound:
        from weft.kinds import KINDS

        parameters = parameters[len(KINDS[kind].called_with) :]
    expected = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    options = {option.name for option in loaded.component.options}
    assert options | set(loaded.signature.supplied) | set(loaded.signature.fixed) == expected


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_number_has_a_range_and_every_component_a_line_of_help(kind: str, name: str) -> None:
    loaded = box()[kind, name]
    for option in loaded.component.options:
        for number in numbers(option.type):
            assert number.range is not None, f"{option.name} is unbounded"
    assert loaded.component.summary
    missing = {option.name for option in loaded.component.options if option.default == MISSING}
    assert missing == REQUIRED.get((kind, name), set())


def numbers(kind: Type) -> list[Type]:
    own = [kind] if kind.name in ("int", "float") else []
    return own + [number for member in kind.members for number in numbers(member)]


@pytest.mark.parametrize(
    ("kind", "name", "option", "value"),
    [
        ("optimizer", "sgd", "momentum", 0),
        ("optimizer", "sgd", "weight_decay", 0),
        ("optimizer", "adam", "betas", [0, 0.999]),
        ("optimizer", "adafactor", "eps", [None, 0.001]),
        ("optimizer", "lbfgs", "line_search_fn", "strong_wolfe"),
        ("optimizer", "lbfgs", "max_eval", None),
        ("scheduler", "cyclic", "max_lr", None),
        ("scheduler", "multi_step", "milestones", [3, 5]),
        ("regularizer", "dropout", "p", 0),
        ("activation", "leaky_relu", "negative_slope", 0),
        ("model", "cnn", "channels", [8]),
    ],
)
def test_legitimate_values_are_in_range(kind: str, name: str, option: str, value: object) -> None:
    kinds = {found.name: found.type for found in box()[kind, name].component.options}
    checked = kinds[option].check(value)
    assert list(checked) == value if isinstance(value, list) else checked == value


def test_losses_and_metrics_declare_the_tasks_that_they_serve() -> None:
    """Numbers are no labels: what serves a regression serves nothing else."""
    for (kind, name), loaded in box().items():
        if kind in ("loss", "metric"):
            tasks = loaded.component.tasks
            assert tasks, f"{kind} {name}"
            assert set(tasks) <= set(names("task")), f"{kind} {name}"
            assert "regression" not in tasks or tasks == ("regression",), f"{kind} {name}"
