"""Options have the library's defaults, and ranges from one table."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from training import Training

from weft.catalog import catalog
from weft.options import MISSING
from weft.typed import Type
from weft_pytorch_optimizer import optimizers
from weft_pytorch_optimizer.names import LOSSES, OPTIMIZERS, SCHEDULERS
from weft_pytorch_optimizer.ranges import NO_EFFECT, NOT_OPTIONS, OWN, RANGES, TYPES

SUPPLIED = {"params", "model"}
WRAPPED = {"optimizer", "base_optimizer", "rho_scheduler"}
"""What the adapters fill in."""


def test_importing_the_plugin_imports_neither_torch_nor_the_library() -> None:
    code = "import sys, weft_pytorch_optimizer; print([m for m in ('torch', 'pytorch_optimizer') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def numbers(kind: Type) -> Iterator[Type]:
    if kind.name in ("int", "float"):
        yield kind
    for member in kind.members:
        yield from numbers(member)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind, names in (("optimizer", OPTIMIZERS), ("loss", LOSSES), ("scheduler", SCHEDULERS))
        for name in names
    ],
)
def test_every_number_has_a_range_and_every_option_its_help(kind: str, name: str) -> None:
    for option in catalog().find(kind, name).options:
        assert option.help, option.name
        assert all(number.range is not None for number in numbers(option.type)), option.name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_has_the_library_s_parameters_and_defaults(name: str) -> None:
    known = optimizers.parameters(base(name))
    options = {option.name: option.default for option in catalog().find("optimizer", name).options}
    assert known.keys() - options.keys() <= NOT_OPTIONS.keys() | SUPPLIED | WRAPPED | set(NO_EFFECT.get(name, ()))
    assert options.keys() <= known.keys()
    for option, default in options.items():
        if known[option].default is known[option].empty:
            assert default == MISSING
        else:
            assert default == known[option].default, option


def test_the_tables_hold_nothing_that_no_optimizer_has() -> None:
    parameters = {name: set(optimizers.parameters(base(name))) for name in OPTIMIZERS}
    every = set().union(*parameters.values())
    assert RANGES.keys() <= every
    assert TYPES.keys() <= every
    assert NOT_OPTIONS.keys() <= every
    assert not RANGES.keys() & NOT_OPTIONS.keys()
    for name, own in [*OWN.items(), *NO_EFFECT.items()]:
        assert set(own) <= parameters[name], name


@pytest.mark.parametrize(("name", "option"), [(name, option) for name, some in NO_EFFECT.items() for option in some])
def test_what_is_said_to_have_no_effect_has_none(name: str, option: str) -> None:
    found = []
    for value in (0.5, 0.001):
        training = Training(name)
        training.optimizer = base(name)(training.model.parameters(), **{option: value})
        training.train(3)
        found.append([weight.detach().clone() for weight in training.model.parameters()])
    assert all(map(torch.equal, *found))


def base(name: str) -> type[torch.optim.Optimizer]:
    """Return the class that the factory is made of."""
    return optimizers.optimizer(name).__bases__[-1]
