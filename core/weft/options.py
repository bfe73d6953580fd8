"""A factory's signature as typed options; a config's values checked against them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from weft.errors import ConfigError, PluginError, did_you_mean
from weft.kinds import Kind
from weft.parameters import Fixed, Supplied
from weft.typed import Refusal, Type, Untypable, from_annotation, from_default

MISSING = "???"
"""What a config holds for an option that has no default: OmegaConf's word for it."""


@dataclass(frozen=True)
class Option:
    """One option: its type, its default (`MISSING` when it must be given) and a line of help."""

    name: str
    type: Type
    default: Any = MISSING
    help: str = ""

    @property
    def range(self) -> str:
        """The range of the numbers in it, for people; empty when unbounded."""
        bounds = self.type.range or next((member.range for member in self.type.members if member.range), None)
        return str(bounds) if bounds else ""

    def dump(self) -> dict[str, Any]:
        """Return this option as JSON's types."""
        return {"name": self.name, "type": self.type.dump(), "default": self.default, "help": self.help}

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Option:
        """Return what `dump` gave away; a tuple's default is a list by then, and a tuple again here."""
        kind = Type.load(data["type"])
        default = data["default"]
        if isinstance(default, list) and kind.name == "tuple":
            default = tuple(default)
        return cls(data["name"], kind, default, data["help"])


@dataclass(frozen=True)
class Signature:
    """How a factory is called: its options, its parameters that the run supplies (under which name) or that are fixed, and
    how many leading parameters of a plain function belong to its callers."""

    options: tuple[Option, ...]
    supplied: Mapping[str, str]
    fixed: Mapping[str, Any]
    bound: bool


def signature(factory: Callable[..., Any], kind: Kind, overrides: Mapping[str, Any]) -> Signature:
    """Read a factory's signature. `overrides` type, supply or fix parameters of somebody else's.

    Raises:
        PluginError: a parameter that must be given can't be typed, or an override fits nothing.
    """
    bound = bool(kind.called_with) and not inspect.isclass(factory)
    parameters = _parameters(factory)
    if bound:
        if len(parameters) < len(kind.called_with):
            raise PluginError(f"a {kind.name} that is a function takes {', '.join(kind.called_with)}")
        parameters = parameters[len(kind.called_with) :]
    hints = _hints(factory)
    names = [parameter.name for parameter in parameters]
    for name in overrides:
        if name not in names:
            raise PluginError(f"there is no parameter {name!r}{did_you_mean(name, names)}")
    options: list[Option] = []
    supplied: dict[str, str] = {}
    fixed: dict[str, Any] = {}
    for parameter in parameters:
        override = overrides.get(parameter.name, parameter.empty)
        if isinstance(override, Supplied):
            if override.name not in kind.supplied:
                raise PluginError(f"{override.name!r} is not supplied to the {kind.name}: {', '.join(kind.supplied)} are")
            supplied[parameter.name] = override.name
        elif isinstance(override, Fixed):
            fixed[parameter.name] = override.value
        elif parameter.name in kind.supplied and override is parameter.empty:
            supplied[parameter.name] = parameter.name
        else:
            annotation = hints.get(parameter.name, parameter.empty) if override is parameter.empty else override
            options.extend(_option(parameter, annotation))
    return Signature(tuple(options), supplied, fixed, bound)


def _parameters(factory: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        raise PluginError(f"{factory!r} has no signature that can be read") from None
    return [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _hints(factory: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations, one by one where one of them doesn't resolve (a name imported for type checkers only)."""
    function = factory.__init__ if inspect.isclass(factory) else factory
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        pass
    found = {}
    names = vars(sys.modules.get(getattr(function, "__module__", ""), object()))
    for name, annotation in getattr(function, "__annotations__", {}).items():
        try:
            found[name] = eval(annotation, dict(names)) if isinstance(annotation, str) else annotation
        except Exception:  # an annotation that can't be read types nothing; the parameter's default may
            continue
    return found


def _option(parameter: inspect.Parameter, annotation: Any) -> Iterable[Option]:
    """Yield the option, or nothing for a parameter with a default that can't be typed."""
    required = parameter.default is parameter.empty
    try:
        kind = from_default(parameter.default) if annotation is parameter.empty else from_annotation(annotation)
        default = parameter.default if required or kind.name == "choice" else kind.check(parameter.default)
    except Refusal as error:
        raise PluginError(f"parameter {parameter.name!r} has a default that it would refuse itself: {error}") from None
    except Untypable:
        if required:
            raise PluginError(
                f"parameter {parameter.name!r} must be given, and weft can't read its type: annotate it, or register it "
                f"with {parameter.name}=Annotated[…], supplied(…) or fixed(…)"
            ) from None
        return
    if parameter.name == "name":
        raise PluginError("an option can't be called 'name': that is the component's own")
    texts = [mark for mark in get_args(annotation)[1:] if isinstance(mark, str)] if _annotated(annotation) else []
    yield Option(parameter.name, kind, MISSING if required else default, " ".join(texts))


def _annotated(annotation: Any) -> bool:
    return get_origin(annotation) is Annotated


def check(options: Iterable[Option], values: Mapping[str, Any], place: str, whose: str) -> dict[str, Any]:
    """Return all options with their values, defaults filled in. `place` is the config's key, `whose` says who offers it.

    Raises:
        ConfigError: an unknown option, a value of the wrong type or out of range, or one that is missing.
    """
    known = {option.name: option for option in options}
    for name in values:
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "there are none"
            raise ConfigError(f"{_join(place, name)}: {whose} has no option {name!r}{did_you_mean(name, known)}; {there}")
    checked = {}
    for name, option in known.items():
        value = values.get(name, option.default)
        if value == MISSING:
            raise ConfigError(f"{_join(place, name)}: {whose} needs it ({_about(option)}); give {_join(place, name)}=…")
        try:
            checked[name] = option.type.check(value)
        except Refusal as error:
            where = f"{_join(place, name)}{error.place}"
            raise ConfigError(f"{where}: {error} ({whose}: {_about(option)})") from None
    return checked


def _about(option: Option) -> str:
    default = "" if option.default == MISSING else f", default {show(option.default)}"
    return f"{option.type}{', ' + option.range if option.range else ''}{default}"


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def show(value: Any) -> str:
    """Return a value as a config writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(show(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {show(item)}" for key, item in value.items()) + "}"
    return str(value)
