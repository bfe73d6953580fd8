"""What a search may vary."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, given
from hypothesis import strategies as st

from weft import compose
from weft.configuration import Configuration
from weft.errors import ConfigError
from weft.options import Option
from weft.parameters import Range
from weft.sweep.space import Configure, Dimension, Interval, Space, Values, declared, space
from weft.typed import Type

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture(scope="module")
def configure() -> Iterator[Configure]:
    with compose.hydra_app() as hydra:

        def composed(overrides: object) -> Configuration:
            given = list(overrides)  # type: ignore[call-overload]
            return compose.read(compose.compose(hydra, given), given)

        yield composed


def shown(found: Space) -> dict[str, str]:
    return {item.key: str(item).partition(": ")[2] for item in found.dimensions}


def test_nothing_swept_is_the_declared_ranges(configure: Configure) -> None:
    found = space(["model=mlp", "optimizer=adamw"], configure)
    assert found.fixed == ("model=mlp", "optimizer=adamw")
    assert shown(found) == {
        "model.mlp.width": "16, 32, 64, 128, 256, 512, 1024",
        "optimizer.adamw.lr": "1e-05 to 0.1, log",
        "optimizer.adamw.eps": "1e-10 to 1e-06, log",
        "optimizer.adamw.weight_decay": "0.0001 to 1.0, log",
    }


def test_every_part_has_its_own(configure: Configure) -> None:
    found = space(["model=linear", "optimizer=adam,sgd", "regularizer=none,l2,[dropout,l2]"], configure)
    assert shown(found) == {
        "optimizer": "adam, sgd",
        "regularizer": "none, l2, [dropout,l2]",
        "optimizer.adam.lr": "1e-05 to 0.1, log (optimizer=adam)",
        "optimizer.adam.eps": "1e-10 to 1e-06, log (optimizer=adam)",
        "optimizer.sgd.lr": "1e-05 to 0.1, log (optimizer=sgd)",
        "regularizer.l2.weight": "1e-06 to 0.01, log (regularizer=l2,[dropout,l2])",
        "regularizer.dropout.p": "0.0 to 0.99 (regularizer=[dropout,l2])",
    }
    point = {"optimizer": "sgd", "optimizer.sgd.lr": 0.1, "regularizer": "l2", "regularizer.l2.weight": 1e-5}
    assert found.overrides(point) == (
        *("model=linear", "optimizer=sgd", "regularizer=l2", "optimizer.lr=0.1", "regularizer.l2.weight=1e-05"),
    )
    assert found.params(point)["regularizer.l2.weight"] == 1e-5


def test_a_swept_value_is_all_of_the_space(configure: Configure) -> None:
    found = space(["optimizer=adam,sgd", "optimizer.momentum=interval(0,0.9)", "batch_size=interval(16,64)"], configure)
    assert shown(found) == {
        "optimizer": "adam, sgd",
        "optimizer.sgd.momentum": "0.0 to 0.9 (optimizer=sgd)",
        "batch_size": "16 to 64",
    }
    assert shown(space(["+experiment=mlp,cnn"], configure)) == {"+experiment": "mlp, cnn"}


def test_what_is_fixed_is_not_searched(configure: Configure) -> None:
    given = space(["model=linear", "optimizer.lr=0.001", "optimizer={eps: 1e-8}"], configure)
    assert list(shown(given)) == ["optimizer.adamw.weight_decay"]
    by_experiment = space(["+experiment=mlp"], configure)
    assert "optimizer.adamw.lr" not in shown(by_experiment)
    assert "model.mlp.width" not in shown(by_experiment)


def test_a_loss_is_not_made_small_by_its_own_options(configure: Configure) -> None:
    assert "loss.focal.gamma" not in shown(space(["loss=focal"], configure))
    assert "loss.focal.gamma" in shown(space(["loss=focal", "objective=max:valid/accuracy"], configure))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer.momentum=interval(0,1)"], r"optimizer.momentum: optimizer=adamw has no such option; there are lr, "),
        (["optimizer.lrr=1,2"], r"optimizer.lrr: .* has no such option \(did you mean 'lr'\?\)"),
        (["scheduler.gamma=0.1,0.2"], r"scheduler.gamma: scheduler=none has no such option$"),
        (["optimizer.lr=interval(1,20)"], r"optimizer.lr: 20.0 is out of range"),
        (["optimizer.lr=1,a"], r"optimizer.lr: 'a' is not a number"),
        (["optimizer.lr=interval(2,1)"], r"is no interval; one goes from low to high"),
        (["optimizer.lr=tag(log,interval(0,1))"], r"is no interval; one goes from low to high, above zero"),
        (["optimizer.lr=tag(lgo,interval(1,2))"], r"no tag 'lgo'; there are log, int, float"),
        (["batch_size=tag(log,range(1,5))"], r"a range takes no tags"),
        (["batch_size=range(5,1)"], r"batch_size=range\(5,1\): is no value at all"),
        (["batch_size=range(0,4)"], r"batch_size: 0 is out of range"),
        (["batch_size=interval(1.2,1.4)"], r"batch_size: there is no whole number from 1.2 to 1.4"),
        (["model=mlp,nope"], r"no model named 'nope'"),
        (["model=linear", "optimizer=rprop", "optimizer.lr=1"], r"nothing to search: of model=linear, optimizer=rprop"),
        (["optimizer.lr=interval(1"], r"no viable alternative|missing|mismatched"),
    ],
)
def test_what_can_be_no_space(configure: Configure, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        space(overrides, configure)


def test_another_apps_space_is_what_is_swept() -> None:
    found = space(["x=choice('a b',2)", "y=range(0.1,0.4,0.1)", "z=1", "~w", "+v=true"])
    assert found.fixed == ("z=1", "~w", "+v=true")
    x, y = found.dimensions
    assert y == Dimension("y", "y", Interval(0.1, 0.3, 0.1))
    assert isinstance(x.values, Values)
    assert [found.params({"x": text, "y": 0.1})["x"] for text in x.values.texts] == ["a b", 2]
    assert space(["x=1", "x=2,3"]).fixed == ()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2,1", Values(("1", "2"))),
        ("[1,2],[3]", Values(("[1,2]", "[3]"))),
        ("true,false", Values(("True", "False"))),
        ("range(1,4)", Interval(1, 3, 1)),
        ("range(4,1,-2)", Interval(2, 4, 2)),
        ("shuffle(range(5))", Interval(0, 4, 1)),
        ("range(0.5,5.5,step=1)", Interval(0.5, 4.5, 1.0)),
        ("interval(1,5)", Interval(1.0, 5.0)),
        ("int(interval(1,5))", Interval(1, 5)),
        ("tag(int,interval(0.5,5))", Interval(1, 5)),
        ("tag(log,interval(1e-4,1))", Interval(1e-4, 1.0, log=True)),
        ("tag(log,int(interval(1,5)))", Interval(1, 5, log=True)),
    ],
)
def test_hydras_sweeps(text: str, values: Values | Interval) -> None:
    (found,) = space([f"x={text}"]).dimensions
    assert found.values == values
    if isinstance(values, Interval):
        assert isinstance(found.values, Interval)
        assert type(found.values.low) is type(values.low)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(-50, 50))
def test_a_range_has_hydras_numbers(start: int, stop: int, step: int) -> None:
    assume(step)
    numbers = range(start, stop, step)
    if not numbers:
        with pytest.raises(ConfigError, match="no value at all"):
            space([f"x=range({start},{stop},{step})"])
        return
    (found,) = space([f"x=range({start},{stop},{step})"]).dimensions
    assert isinstance(found.values, Interval)
    low, high, by = int(found.values.low), int(found.values.high), int(found.values.step or 0)
    assert sorted(numbers) == [*range(low, high + 1, by)]


@given(st.one_of(FLOATS, st.integers()))
def test_a_number_is_read_back_exactly(number: float) -> None:
    override = Dimension("k", "optimizer.lr", Interval(0.0, 1.0)).override(number)
    read = OverridesParser.create().parse_override(override)
    assert read.key_or_group == "optimizer.lr"
    assert read.value() == number
    assert type(read.value()) is type(number)


@given(st.data(), st.sampled_from(["int", "float"]), st.booleans())
def test_what_is_searched_is_valid(data: st.DataObject, kind: str, log: bool) -> None:
    numbers = st.integers(1, 10**9) if kind == "int" else st.floats(1e-12, 1e9)
    low, default, high = sorted(data.draw(st.tuples(numbers, numbers, numbers)))
    if not log and data.draw(st.booleans()):
        low = 0
    wanted = Type(kind, range=Range(low, high, log))
    found = declared(Option("x", wanted, default))
    if isinstance(found, Interval):
        assert kind == "float"
        assert low <= found.low <= default <= found.high <= high
        assert not found.log or (found.high <= default * 100 and found.low >= default / 100 > 0)
    elif isinstance(found, Values):
        assert (kind, log) == ("int", True)
        assert str(default) in found.texts
        assert all(low <= wanted.check(int(text)) <= high for text in found.texts)
    else:
        assert not log


@pytest.mark.parametrize(
    ("kind", "bounds", "default"),
    [
        (Type("float", range=Range(0, math.inf)), Range(0, math.inf), 1.0),
        (Type("float", optional=True, range=Range(1e-9, 10, log=True)), None, None),
        (Type("float", range=Range(0, 1)), None, 0.0),
        (Type("int", range=Range(1, 32)), None, 4),
        (Type("bool"), None, True),
        (Type("float"), None, 1.0),
        (Type("float", range=Range(0, 1)), None, "???"),
        (Type("tuple", (Type("float", range=Range(0, 1)),) * 2), None, (0.9, 0.99)),
        (Type("literal", values=("a", "b")), None, "a"),
    ],
)
def test_what_is_not_searched(kind: Type, bounds: Range | None, default: object) -> None:
    assert declared(Option("x", kind, default)) is None


def test_one_choice_made(configure: Configure) -> None:
    whole = space(["model=linear", "optimizer=adam,sgd", "regularizer=none,l2"], configure)
    part = whole.restricted("optimizer", "sgd")
    assert part.fixed == ("model=linear", "optimizer=sgd")
    assert shown(part) == {
        "regularizer": "none, l2",
        "optimizer.sgd.lr": "1e-05 to 0.1, log",
        "regularizer.l2.weight": "1e-06 to 0.01, log (regularizer=l2)",
    }
    assert part.overrides({"regularizer": "none", "optimizer.sgd.lr": 1.0})[-1] == "optimizer.lr=1.0"
    with pytest.raises(KeyError, match="optimizer=lion"):
        whole.restricted("optimizer", "lion")
