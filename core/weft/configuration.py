"""A composed config as checked, plain values: settings, and the chosen parts with their options.

Nothing here knows Hydra, and nothing is imported or built: a configuration can be read, compared and kept on its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from weft import options, settings
from weft.catalog import Catalog, Component
from weft.errors import ConfigError, PluginError, did_you_mean
from weft.kinds import KINDS
from weft.options import show
from weft.settings import Settings
from weft.typed import Type

FORBIDDEN = ("_target_", "_partial_", "_args_", "_recursive_", "_convert_")
"""What Hydra's `instantiate` would act upon. weft never calls it; a config that holds one expects what will not happen."""

_REQUIRED = ("dataset", "model", "optimizer")
_REGISTERED = re.compile(r"(?!\s*$|\.$|\.\.)[^/:\x00-\x1f]{1,250}")
"""The names that MLflow takes for a registered model."""
_DEVICES = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True)
class Part:
    """One chosen component with its options. `place` is its key in the config, `name` its last word. Options that are
    themselves chosen, such as a model's activation, are parts."""

    place: str
    component: Component
    options: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return self.component.kind

    @property
    def name(self) -> str:
        """The key that it stands under in the config, and in the names of metrics and penalties."""
        return self.place.rpartition(".")[2] if KINDS[self.kind].several else self.component.name

    def __str__(self) -> str:
        """The override that chooses it."""
        place = self.place.rpartition(".")[0] if KINDS[self.kind].several else self.place
        return f"{place}={self.component.name}"

    def tree(self) -> dict[str, Any]:
        """Return this part as a config writes it."""
        return {"name": self.component.name} | {name: _tree(value) for name, value in self.options.items()}

    def inside(self) -> list[Part]:
        """Return this part and those in its options."""
        return _parts([self])


@dataclass(frozen=True)
class Configuration:
    """Everything that one run was asked for."""

    settings: Settings
    parts: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)

    def one(self, kind: str) -> Part:
        """Return the part of a kind that there is exactly one of."""
        return self.parts[kind][0]

    def every_part(self) -> list[Part]:
        """Return all parts, also those inside of others."""
        return _parts(part for parts in self.parts.values() for part in parts)

    def with_parts(self, kind: str, parts: tuple[Part, ...]) -> Configuration:
        """Return a copy in which these are the parts of a kind."""
        return replace(self, parts={**self.parts, kind: parts})

    def tree(self) -> dict[str, Any]:
        """Return the configuration as a config writes it; `read` gives an equal one back."""
        chosen: dict[str, Any] = {}
        for kind, parts in self.parts.items():
            if KINDS[kind].several:
                chosen[kind] = {part.name: part.tree() for part in parts}
            elif parts:
                chosen[kind] = parts[0].tree()
        return chosen | settings.tree(self.settings)

    def params(self) -> dict[str, str]:
        """Return it flat, as MLflow's params: `model` = mlp, `model.width` = 64, `regularizer` = dropout+l2."""
        flat: dict[str, str] = {}
        for kind, parts in self.parts.items():
            flat[kind] = "+".join(part.name for part in parts) or "none"
            for part in parts:
                flat.update(_flatten(part.place, part.options))
        for name, value in settings.tree(self.settings).items():
            if name not in ("name", "tags", "tracking", "telemetry", "sweep", "runs", "reference"):
                flat.update(_flatten(name, value) if isinstance(value, dict) else {name: show(value)})
        return flat


def _parts(values: Iterable[Any]) -> list[Part]:
    found: list[Part] = []
    waiting = [*values]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, Part):
            found.append(part)
            waiting.extend(part.options.values())
        elif isinstance(part, Mapping):
            waiting.extend(part.values())
        elif isinstance(part, (list, tuple)):
            waiting.extend(part)
    return found


def _tree(value: Any) -> Any:
    if isinstance(value, Part):
        return value.tree() if value.options else value.component.name
    if isinstance(value, (list, tuple)):
        return [_tree(item) for item in value]
    return {key: _tree(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _flatten(place: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        key = f"{place}.{name}"
        if isinstance(value, Part):
            yield key, value.component.name
            yield from _flatten(key, value.options)
        else:
            yield key, show(_tree(value))


def read(tree: Mapping[str, Any], catalog: Catalog, required: Collection[str] = _REQUIRED) -> Configuration:
    """Check a composed config, given as plain values, and return it as a configuration with a part of each `required` kind.

    Raises:
        ConfigError: an unknown key or option, a wrong type or range, something missing, `_target_` anywhere.
        PluginError: a component that is not offered, or offered twice.
    """
    refuse_targets(tree)
    chosen = {name: kind for name, kind in KINDS.items() if kind.chosen}
    known = [*chosen, *(option.name for option in settings.options()), *settings.groups()]
    for key in tree:
        if key not in known:
            raise ConfigError(f"{key}: no such key{did_you_mean(key, known)}; there are {', '.join(known)}")
    parts: dict[str, tuple[Part, ...]] = {}
    for name, kind in chosen.items():
        value = tree.get(name)
        if kind.several:
            parts[name] = tuple(
                part(name, item, catalog, f"{name}.{key}") for key, item in _mapping(name, value).items() if item
            )
        else:
            parts[name] = (part(name, value, catalog),) if value else ()
        if name in required and not parts[name]:
            raise ConfigError(f"{name}: a run needs one; choose among {', '.join(catalog.names(name))}")
    return Configuration(_settings(tree), parts)


def refuse_targets(tree: Any, place: str = "") -> None:
    """Refuse, anywhere inside, the keys that would have Hydra call something.

    Raises:
        ConfigError: names the place.
    """
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, (list, tuple)) else ()
    for key, value in items:
        here = f"{place}.{key}" if place else str(key)
        if key in FORBIDDEN:
            raise ConfigError(f"{here}: {key} is not allowed: a config chooses components by name, it can't call code")
        refuse_targets(value, here)


def default_part(kind: str, name: str, catalog: Catalog) -> Part:
    """Return a part with its default options, for what a task brings along."""
    place = f"{kind}.{name}" if KINDS[kind].several else kind
    return part(kind, name, catalog, place)


def _mapping(place: str, value: Any) -> Mapping[str, Any]:
    if value is None or value == []:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{place}: {show(value)} is not a choice; write {place}=[NAME,…] or {place}=NAME")
    return value


def part(kind: str, value: Any, catalog: Catalog, place: str = "") -> Part:
    """Read one choice: a name, or a mapping with `name` and options.

    Raises:
        ConfigError, PluginError: see `read`.
    """
    place = place or kind
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ConfigError(f"{place}: {show(value)} is not a choice; there are {', '.join(catalog.names(kind))}")
    try:
        component = catalog.find(kind, value["name"])
    except PluginError as error:
        raise PluginError(f"{place}: {error}") from None
    given = {str(key): item for key, item in value.items() if key != "name"}
    checked = options.check(component.options, given, place, str(component))
    chosen = {
        option.name: _inner(f"{place}.{option.name}", option.type, checked[option.name], catalog)
        for option in component.options
    }
    return Part(place, component, chosen)


def _inner(place: str, kind: Type, value: Any, catalog: Catalog) -> Any:
    """Return an option's value with the choices in it as parts."""
    if kind.name == "choice" and value is not None:
        return part(kind.kind, value, catalog, place)
    if kind.name == "list" and value is not None:
        return [_inner(f"{place}[{index}]", kind.members[0], item, catalog) for index, item in enumerate(value)]
    if kind.name == "tuple" and value is not None:
        members = kind.members * len(value) if kind.repeats else kind.members
        inside = enumerate(zip(members, value, strict=True))
        return tuple(_inner(f"{place}[{index}]", member, item, catalog) for index, (member, item) in inside)
    if kind.name == "dict" and value is not None:
        return {key: _inner(f"{place}[{key}]", kind.members[0], item, catalog) for key, item in value.items()}
    return value


def _settings(tree: Mapping[str, Any]) -> Settings:
    groups = {}
    for name, group in settings.groups().items():
        values = tree.get(name)
        groups[name] = group(**options.check(settings.options(group), _mapping(name, values), name, f"weft's {name}"))
    top = settings.options()
    names = {option.name for option in top}
    values = {key: value for key, value in tree.items() if key in names}
    found = Settings(**options.check(top, values, "", "weft"), **groups)
    if not _DEVICES.fullmatch(found.device):
        raise ConfigError(f"device: {found.device!r} is none of auto, cpu, cuda, cuda:N, mps")
    if not found.tracking.experiment.strip():
        raise ConfigError("tracking.experiment: '' is no name; MLflow keeps every run in an experiment, by default weft")
    registered = found.tracking.register
    if registered is not None and not _REGISTERED.fullmatch(registered):
        raise ConfigError(
            f"tracking.register: {registered!r} is no name of a registered model; it could be up to 250 characters, "
            "none of them / or :, that don't begin with two dots"
        )
    if found.accumulate > found.batch_size:
        raise ConfigError(f"accumulate: {found.accumulate} pieces of a batch of {found.batch_size} are not to be had")
    return found


def with_environment(found: Configuration, given: set[str], environment: Mapping[str, str] = os.environ) -> Configuration:
    """Return it with MLflow's variables in the place of conf's values, but not of those `given` on the command line."""
    variables = {"uri": "MLFLOW_TRACKING_URI", "experiment": "MLFLOW_EXPERIMENT_NAME", "run_id": "MLFLOW_RUN_ID"}
    values = {
        name: environment[variable]
        for name, variable in variables.items()
        if environment.get(variable) and f"tracking.{name}" not in given
    }
    return replace(found, settings=replace(found.settings, tracking=replace(found.settings.tracking, **values)))
