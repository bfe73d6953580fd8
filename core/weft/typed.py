"""The types that a setting can have: read from an annotation, checked against a value, shown to a person, kept as JSON.

int  float  bool  str  Literal  T | None  list[T]  tuple[T, ...]  tuple[A, B]  dict[str, T]  unions of these
Annotated[T, Range(…), "help"]   Annotated[…, Choice("activation")]
"""

import math
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from weft.errors import did_you_mean
from weft.parameters import Choice, Range

SCALARS: dict[type, str] = {int: "int", float: "float", bool: "bool", str: "str"}
_SEQUENCES = (list, Sequence, Iterable)


class Refusal(ValueError):
    """A value that its type refuses. `place` is where in the value it was, such as `[1]`, or empty for all of it."""

    def __init__(self, message: str, place: str = ""):
        super().__init__(message)
        self.place = place


class Untypable(Exception):
    """An annotation that none of the types above can stand for."""


@dataclass(frozen=True)
class Type:
    """One type. `name` is int, float, bool, str, literal, list, tuple, dict, union or choice.

    `members` are the types of a list's or dict's values (one), of a tuple's places (several, or one with `repeats`) or of a
    union. `values` are a literal's, `kind` a choice's. `optional` admits None. `range` bounds every number inside.
    """

    name: str
    members: tuple["Type", ...] = ()
    values: tuple[Any, ...] = ()
    kind: str = ""
    optional: bool = False
    repeats: bool = False
    range: Range | None = None

    def __str__(self) -> str:
        inner = [str(member) for member in self.members]
        if self.name == "literal":
            shown = " | ".join(str(value) for value in self.values)
        elif self.name == "union":
            shown = " | ".join(inner)
        elif self.name == "choice":
            shown = self.kind
        elif self.name == "tuple":
            shown = f"tuple[{inner[0]}, ...]" if self.repeats else f"tuple[{', '.join(inner)}]"
        else:
            shown = self.name + (f"[{', '.join(inner)}]" if inner else "")
        return shown + (" | null" if self.optional else "")

    def check(self, value: Any) -> Any:
        """Return `value` as this type.

        Raises:
            Refusal: it can't be; the message says what it could have been.
        """
        if value is None:
            if self.optional:
                return None
            raise Refusal(f"null is not {_ARTICLES.get(self.name, str(self))}")
        return _CHECKS[self.name](self, value)

    def dump(self) -> dict[str, Any]:
        """Return this type as JSON's types."""
        return {
            "name": self.name,
            "members": [member.dump() for member in self.members],
            "values": list(self.values),
            "kind": self.kind,
            "optional": self.optional,
            "repeats": self.repeats,
            "range": self.range and [self.range.low, self.range.high, self.range.log],
        }

    @classmethod
    def load(cls, data: dict[str, Any]) -> "Type":
        """Return what `dump` gave away."""
        return cls(
            data["name"],
            tuple(cls.load(member) for member in data["members"]),
            tuple(data["values"]),
            data["kind"],
            data["optional"],
            data["repeats"],
            Range(*data["range"]) if data["range"] else None,
        )


_ARTICLES = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}


def _scalar(self: Type, value: Any) -> Any:
    refusal = Refusal(f"{value!r} is not {_ARTICLES[self.name]}")
    if isinstance(value, (dict, list, tuple)):
        raise refusal
    if self.name == "str":
        return value if isinstance(value, str) else str(value)
    if self.name == "bool":
        spelled = {"true": True, "false": False}.get(str(value).lower())
        if spelled is None:
            raise refusal
        return spelled
    if isinstance(value, bool):
        raise refusal
    try:
        number = int(value) if self.name == "int" and not isinstance(value, float) else float(value)
    except (TypeError, ValueError, OverflowError):
        raise refusal from None
    if self.name == "int":
        if not isinstance(number, int):
            raise refusal
    elif math.isnan(number):
        raise refusal
    if self.range and not self.range.low <= number <= self.range.high:
        raise Refusal(f"{value!r} is out of range: {self.range}")
    return number


def _literal(self: Type, value: Any) -> Any:
    for allowed in self.values:
        if type(allowed) is type(value) and allowed == value:
            return allowed
    known = [str(allowed) for allowed in self.values]
    raise Refusal(f"{value!r} is not one of {', '.join(known)}{did_you_mean(str(value), known)}")


def _list(self: Type, value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise Refusal(f"{value!r} is not a list")
    return [_at(index, self.members[0], item) for index, item in enumerate(value)]


def _tuple(self: Type, value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise Refusal(f"{value!r} is not a list")
    members = self.members * len(value) if self.repeats else self.members
    if len(members) != len(value):
        raise Refusal(f"{list(value)!r} is not a list of {len(members)} values")
    return tuple(_at(index, member, item) for index, (member, item) in enumerate(zip(members, value, strict=True)))


def _dict(self: Type, value: Any) -> Any:
    if not isinstance(value, dict):
        raise Refusal(f"{value!r} is not a mapping")
    return {str(key): _at(key, self.members[0], item) for key, item in value.items()}


def _union(self: Type, value: Any) -> Any:
    exact = [member for member in self.members if SCALARS.get(type(value)) == member.name]
    numbers = [member for member in self.members if type(value) is int and member.name == "float"]
    for member in [*exact, *numbers, *self.members]:
        try:
            return member.check(value)
        except Refusal:
            continue
    raise Refusal(f"{value!r} is none of {self}")


def _choice(self: Type, value: Any) -> Any:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return value
    raise Refusal(f"{value!r} does not name one: give its name, or {{name: …, option: …}}")


def _at(place: Any, member: Type, item: Any) -> Any:
    try:
        return member.check(item)
    except Refusal as error:
        raise Refusal(str(error), f"[{place}]{error.place}") from None


_CHECKS: dict[str, Callable[[Type, Any], Any]] = {
    "int": _scalar,
    "float": _scalar,
    "bool": _scalar,
    "str": _scalar,
    "literal": _literal,
    "list": _list,
    "tuple": _tuple,
    "dict": _dict,
    "union": _union,
    "choice": _choice,
}


def from_annotation(annotation: Any) -> Type:
    """Return the type that an annotation stands for. Members of a union that can't be typed are dropped.

    Raises:
        Untypable: nothing of it can be typed.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(arguments[0], arguments[1:])
    if annotation in SCALARS:
        return Type(SCALARS[annotation])
    if origin is Literal and all(isinstance(value, (str, int, float, bool, types.NoneType)) for value in arguments):
        return Type("literal", values=tuple(v for v in arguments if v is not None), optional=None in arguments)
    if origin in (Union, types.UnionType):
        return _from_union(arguments)
    if isinstance(origin, type) and issubclass(origin, tuple) and arguments:
        repeats = len(arguments) == 2 and arguments[1] is ...
        return Type("tuple", tuple(map(from_annotation, arguments[:1] if repeats else arguments)), repeats=repeats)
    if origin in _SEQUENCES and arguments:
        return Type("list", (from_annotation(arguments[0]),))
    if origin is dict and arguments and arguments[0] is str:
        return Type("dict", (from_annotation(arguments[1]),))
    raise Untypable(annotation)


def _annotated(annotation: Any, marks: tuple[Any, ...]) -> Type:
    for mark in marks:
        if isinstance(mark, Choice):
            return Type("choice", kind=mark.kind)
    found = from_annotation(annotation)
    for mark in marks:
        if isinstance(mark, Range):
            found = _bounded(found, mark)
    return found


def _bounded(found: Type, bounds: Range) -> Type:
    """Put the range on every number inside."""
    return replace(
        found,
        members=tuple(_bounded(member, bounds) for member in found.members),
        range=bounds if found.name in ("int", "float") else None,
    )


def _from_union(arguments: tuple[Any, ...]) -> Type:
    members: list[Type] = []
    for argument in arguments:
        if argument is types.NoneType:
            continue
        try:
            member = from_annotation(argument)
        except Untypable:
            continue
        if member not in members:
            members.append(member)
    optional = types.NoneType in arguments or any(member.optional for member in members)
    if {member.name for member in members} >= {"int", "float"}:
        members = [member for member in members if member.name != "int"]
    if not members:
        raise Untypable(arguments)
    if len(members) == 1:
        return replace(members[0], optional=optional)
    return Type("union", tuple(members), optional=optional)


def from_default(default: Any) -> Type:
    """Return the type of a parameter that has a default and no annotation.

    Raises:
        Untypable: the default is no scalar.
    """
    if type(default) in SCALARS:
        return Type(SCALARS[type(default)])
    raise Untypable(default)
