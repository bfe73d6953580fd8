"""Types: what an annotation stands for, what a value may be."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from weft import Choice, Range
from weft.typed import Refusal, Type, Untypable, from_annotation, from_default


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (int, "int"),
        (float | Tensor, "float"),
        (Optional[int], "int | null"),
        (Union[int, float], "float"),
        (int | str | None, "int | str | null"),
        (Literal["a", "b"], "a | b"),
        (Literal["a"] | None, "a | null"),
        (Literal["a", None], "a | null"),
        (list[int], "list[int]"),
        (Sequence[float], "list[float]"),
        (Iterable[int], "list[int]"),
        (tuple[float, float], "tuple[float, float]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (tuple[float | Tensor, float | Tensor], "tuple[float, float]"),
        (dict[str, float], "dict[str, float]".replace("str, ", "")),
        (Annotated[Callable[[], nn.Module], Choice("activation")], "activation"),
        (list[Literal["x", "y"]], "list[x | y]"),
    ],
)
def test_an_annotation_becomes_a_type(annotation: Any, shown: str) -> None:
    assert str(from_annotation(annotation)) == shown


@pytest.mark.parametrize("annotation", [Tensor, Callable[[int], float], Any, object, set[int], Tensor | None, complex])
def test_what_cannot_be_typed_is_refused_never_any(annotation: Any) -> None:
    with pytest.raises(Untypable):
        from_annotation(annotation)


def test_a_default_types_a_parameter_without_annotation() -> None:
    assert str(from_default(0.1)) == "float"
    assert str(from_default(True)) == "bool"
    with pytest.raises(Untypable):
        from_default([1, 2])


@pytest.mark.parametrize(
    ("annotation", "given", "arrives"),
    [
        (float, 1, 1.0),
        (float, "1e-3", 1e-3),
        (float, math.inf, math.inf),
        (int, "64", 64),
        (bool, "true", True),
        (str, 3, "3"),
        (tuple[float, float], [0.9, 1], (0.9, 1.0)),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (list[int], (1, 2), [1, 2]),
        (Literal[1, "one"], "one", "one"),
        (str | float | bool, 0, 0.0),
        (str | float | bool, True, True),
        (str | float | bool, "x", "x"),
        (Literal["balanced"] | list[float], [1, 2], [1.0, 2.0]),
        (Annotated[Any, Choice("activation")], "relu", {"name": "relu"}),
    ],
)
def test_a_value_arrives_as_its_type(annotation: Any, given: Any, arrives: Any) -> None:
    found = from_annotation(annotation).check(given)
    assert found == arrives
    assert type(found) is type(arrives)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, "wide", "'wide' is not a whole number"),
        (int, 1.0, "1.0 is not a whole number"),
        (int, True, "True is not a whole number"),
        (int, None, "null is not a whole number"),
        (float, math.nan, "nan is not a number"),
        (float, [1], "[1] is not a number"),
        (bool, 1, "1 is not true or false"),
        (Literal["mean", "sum"], "men", "'men' is not one of mean, sum (did you mean 'mean'?)"),
        (Literal[1], True, "True is not one of 1"),
        (Annotated[float, Range(0, 1)], 2, "2 is out of range: 0 to 1"),
        (Annotated[list[float], Range(0, 1)], [0.5, -1], "[1]: -1 is out of range: 0 to 1"),
        (Annotated[float | None, Range(0, 1)], 2, "2 is out of range: 0 to 1"),
        (tuple[float, float], [1, 2, 3], "[1, 2, 3] is not a list of 2 values"),
        (list[int], [1, "x"], "[1]: 'x' is not a whole number"),
        (list[int], 5, "5 is not a list"),
        (dict[str, int], [1], "[1] is not a mapping"),
        (int | bool, "x", "'x' is none of int | bool"),
        (Annotated[Any, Choice("activation")], 3, "3 does not name one: give its name, or {name: …, option: …}"),
    ],
)
def test_a_wrong_value_is_told_what_it_could_have_been(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(Refusal) as caught:
        from_annotation(annotation).check(value)
    assert (f"{caught.value.place}: " if caught.value.place else "") + str(caught.value) == message


scalars = st.sampled_from([int, float, bool, str, Literal["a", 1, True], int | None, float | str, Annotated[int, Range(0, 9)]])
annotations = st.recursive(
    scalars,
    lambda inner: st.one_of(
        inner.map(lambda a: list[a]), inner.map(lambda a: tuple[a, ...]), st.tuples(inner, inner).map(lambda p: tuple[p])
    ),
    max_leaves=4,
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=6,
)


@given(annotations, values)
def test_a_type_survives_json_and_its_values_survive_being_checked_again(annotation: Any, value: Any) -> None:
    found = from_annotation(annotation)
    again = Type.load(json.loads(json.dumps(found.dump())))
    assert again == found
    try:
        checked = found.check(value)
    except Refusal as error:
        assert str(error)
        return
    assert again.check(checked) == checked
