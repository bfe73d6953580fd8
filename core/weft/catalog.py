"""What is offered, by whom, and what did not load.

A plugin is an entry point of the group `weft`. What it offers is read in a child process, so that a plugin that crashes,
hangs or imports torch can't take weft along, and is kept in a cache until the plugin's files, its version or torch's change.
A plugin is imported into this process only when a run chooses one of its components; one that was made for another weft
is not imported at all.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from weft import catalog_cache, hookspecs
from weft.compatibility import misfit
from weft.errors import PluginError, UnusableError, did_you_mean
from weft.kinds import KINDS, Kind
from weft.options import Option, Signature, signature

GROUP = "weft"


@dataclass(frozen=True)
class Plugin:
    """An entry point, the distribution it belongs to, and why that one can't go with this weft, if it can't."""

    name: str
    value: str
    distribution: str
    version: str
    misfit: str = ""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True)
class Component:
    """One thing on offer, as the cache knows it: enough to list, complete and check it without importing it.

    `tasks` are the ones it says it serves (none: it doesn't say), `supplied` the names it asks the run for.
    """

    kind: str
    name: str
    path: str
    summary: str
    options: tuple[Option, ...]
    plugin: Plugin
    tasks: tuple[str, ...] = ()
    supplied: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.name} of {self.plugin}"

    def dump(self) -> dict[str, Any]:
        """Return this component as JSON's types, without its plugin."""
        return {
            "kind": self.kind,
            "name": self.name,
            "path": self.path,
            "summary": self.summary,
            "options": [option.dump() for option in self.options],
            "tasks": self.tasks,
            "supplied": self.supplied,
        }

    @classmethod
    def load(cls, data: Mapping[str, Any], plugin: Plugin) -> Component:
        """Return what `dump` gave away."""
        options = tuple(Option.load(option) for option in data["options"])
        tasks, supplied = tuple(data["tasks"]), tuple(data["supplied"])
        return cls(data["kind"], data["name"], data["path"], data["summary"], options, plugin, tasks, supplied)


@dataclass(frozen=True)
class Loaded:
    """A component whose factory is imported."""

    component: Component
    factory: Callable[..., Any]
    signature: Signature


@dataclass
class Catalog:
    """All that is offered. A name that two plugins offer stands under both; a plugin that did not load, and a component that
    can't be used, have their reason; `threaded` are the plugins that start threads as they are imported."""

    components: dict[str, dict[str, list[Component]]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    failures: dict[Plugin, str] = field(default_factory=dict)
    broken: dict[tuple[str, str], tuple[Plugin, str]] = field(default_factory=dict)
    threaded: set[Plugin] = field(default_factory=set)
    loaded: dict[tuple[str, str], Loaded] = field(default_factory=dict)

    def add(self, component: Component) -> None:
        """Take a component; a second one under its name is a conflict that `find` reports."""
        self.components[component.kind].setdefault(component.name, []).append(component)

    def names(self, kind: str) -> list[str]:
        """Return the names on offer, sorted."""
        return sorted(self.components[kind])

    def conflicts(self) -> list[list[Component]]:
        """Return the groups of components that claim one name."""
        return [same for kind in self.components.values() for same in kind.values() if len(same) > 1]

    def find(self, kind: str, name: str) -> Component:
        """Return the component of that name.

        Raises:
            PluginError: there is none; says what there is and which plugins did not load.
            UnusableError: there are two, or it is broken.
        """
        offers = self.components[kind].get(name, [])
        if len(offers) > 1:
            owners = " and ".join(f"{offer.path} ({offer.plugin})" for offer in offers)
            raise UnusableError(
                f"{kind}={name}: offered by {owners}; uninstall one, or restrict WEFT_PLUGINS to the entry points you want"
            )
        if not offers and (kind, name) in self.broken:
            plugin, reason = self.broken[kind, name]
            raise UnusableError(f"{kind}={name}: of {plugin}, can't be used: {reason}")
        if not offers:
            names = self.names(kind)
            there = f"there are {', '.join(names)}" if names else "there are none"
            broken = "".join(
                f"\nnot loaded: {plugin.name} of {plugin} ({reason.splitlines()[0]})"
                for plugin, reason in self.failures.items()
            )
            raise PluginError(f"no {kind} named {name!r}{did_you_mean(name, names)}; {there}{broken}")
        return offers[0]

    def load(self, component: Component) -> Loaded:
        """Import the component's plugin, and its factory.

        Raises:
            PluginError: the plugin fails here, though it did not when the catalog was made.
        """
        key = component.kind, component.name
        if key not in self.loaded:
            try:
                for offer in collect(component.plugin.name, component.plugin.value, only=component.kind):
                    if offer.name == component.name:
                        self.loaded[key] = _loaded(offer, component.plugin)
            except PluginError as error:
                raise PluginError(f"{component}: {error}") from error
        if key not in self.loaded:
            raise PluginError(f"{component} is not offered any more")
        return self.loaded[key]


LOCAL = Plugin("this process", "", "this process", "")
_local: dict[tuple[str, str], Loaded] = {}


@functools.cache
def catalog() -> Catalog:
    """Return the catalog of this process: every plugin that `WEFT_PLUGINS` admits, and what was registered by hand."""
    found = Catalog()
    plugins = _admitted([_plugin(entry) for entry in entry_points(group=GROUP)])
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        waited = [_known(plugin) or pool.submit(catalog_cache.asked, plugin) for plugin in plugins]
        offers = [offer.result() if isinstance(offer, Future) else offer for offer in waited]
    for plugin, offered in zip(plugins, offers, strict=True):
        if offered.failure:
            found.failures[plugin] = offered.failure
        if offered.threads:
            found.threaded.add(plugin)
        for data in offered.components:
            found.add(Component.load(data, plugin))
        for kind, name, reason in offered.broken:
            found.broken[kind, name] = plugin, reason
    for key, loaded in _local.items():
        found.add(loaded.component)
        found.loaded[key] = loaded
    return found


def register(kind: str, factory: Any = None, name: str | None = None, summary: str | None = None, **parameters: Any) -> Any:
    """Offer a component for the rest of this process, as a plugin would: `weft.register("model", Leaky)`.

    Without a factory it is a decorator. A name that this process registered before is replaced, as when a notebook's cell
    is run again.

    Raises:
        PluginError: no such kind, a signature that can't be read, or a name that a plugin has.
    """
    if factory is None:
        return lambda made: register(kind, made, name, summary, **parameters)
    loaded = local(kind, factory, name, summary, **parameters)
    others = [offer for offer in catalog().components[kind].get(loaded.component.name, []) if offer.plugin is not LOCAL]
    if others:
        raise PluginError(f"{others[0]} exists already: register yours under another name")
    _local[kind, loaded.component.name] = loaded
    catalog.cache_clear()
    return factory


def local(kind: str, factory: Any, name: str | None = None, summary: str | None = None, **parameters: Any) -> Loaded:
    """Return a component that is this process's own, and is not offered yet.

    Raises:
        PluginError: no such kind, or a signature that can't be read.
    """
    if kind not in KINDS:
        raise PluginError(f"no kind named {kind!r}{did_you_mean(kind, KINDS)}; there are {', '.join(KINDS)}")
    return _loaded(_offer(KINDS[kind], factory, name, summary, parameters), LOCAL)


def _known(plugin: Plugin) -> catalog_cache.Offered | None:
    return catalog_cache.Offered(failure=plugin.misfit) if plugin.misfit else catalog_cache.kept(plugin)


def _plugin(entry: EntryPoint) -> Plugin:
    if entry.dist is None:
        return Plugin(entry.name, entry.value, "?", "")
    told = entry.dist.metadata  # read anew at each access
    return Plugin(entry.name, entry.value, told["Name"], told["Version"], misfit(told.get_all("Requires-Dist") or ()))


def _admitted(plugins: Iterable[Plugin]) -> list[Plugin]:
    found = sorted(plugins, key=lambda plugin: (plugin.distribution, plugin.name))
    wanted = os.environ.get("WEFT_PLUGINS")
    if wanted is None:
        return found
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    known = [plugin.name for plugin in found]
    for name in names:
        if name not in known:
            raise PluginError(
                f"WEFT_PLUGINS: no plugin named {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}"
            )
    return [plugin for plugin in found if plugin.name in names]


@dataclass(frozen=True)
class Offer:
    """What one call of `register` said."""

    kind: Kind
    name: str
    factory: Any
    summary: str | None
    parameters: Mapping[str, Any]


def collect(name: str, value: str, only: str | None = None) -> list[Offer]:
    """Import a plugin and call its hooks, or its hook of one kind.

    Raises:
        PluginError: it does not import, a hook is misspelt or raises, or a name is offered twice.
    """
    try:
        module = EntryPoint(name, value, GROUP).load()
    except Exception as error:
        raise PluginError(f"{type(error).__name__}: {error}") from error
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, name)
    except pluggy.PluginValidationError as error:
        raise PluginError(str(error)) from error
    hooks = {kind.hook: kind for kind in KINDS.values()}
    for caller in manager.get_hookcallers(module) or ():
        if caller.name not in hooks:
            raise PluginError(
                f"offers {caller.name!r}, which is not a hook{did_you_mean(caller.name, hooks)}; "
                f"the hooks are {', '.join(hooks)}"
            )
    offers: list[Offer] = []
    for kind in KINDS.values():
        if only in (None, kind.name):
            register = functools.partial(_take, offers, kind)
            try:
                getattr(manager.hook, kind.hook)(register=register)
            except PluginError as error:
                raise PluginError(f"{kind.hook}: {error}") from error
            except Exception as error:
                raise PluginError(f"{kind.hook} raised {type(error).__name__}: {error}") from error
    return offers


def _take(
    offers: list[Offer],
    kind: Kind,
    factory: Any,
    name: str | None = None,
    summary: str | None = None,
    **parameters: Any,
) -> None:
    """What a plugin calls as `register`."""
    offer = _offer(kind, factory, name, summary, parameters)
    if any((other.kind, other.name) == (kind, offer.name) for other in offers):
        raise PluginError(f"registers {kind.name} {offer.name!r} twice")
    offers.append(offer)


def _offer(kind: Kind, factory: Any, name: str | None, summary: str | None, parameters: Mapping[str, Any]) -> Offer:
    if isinstance(factory, str):
        if name is None or factory.count(":") != 1:
            raise PluginError(f"register({factory!r}): a path is 'module:attribute' and needs a name")
    elif not callable(factory):
        raise PluginError(f"register({factory!r}): a factory is a class, a function or 'module:attribute'")
    elif name is None and not hasattr(factory, "__name__"):
        raise PluginError(f"register({factory!r}): what has no name of its own needs name=…")
    name = name or factory.__name__.lower()
    if not name.replace("-", "_").isidentifier() or name == "none":
        raise PluginError(f"{name!r} can't be a name: letters, digits, '_' and '-', not starting with a digit; not 'none'")
    return Offer(kind, name, factory, summary, parameters)


def _loaded(offer: Offer, plugin: Plugin) -> Loaded:
    """Import the factory and read its signature.

    Raises:
        PluginError: the path leads nowhere, or the signature can't be read.
    """
    factory = offer.factory
    try:
        if isinstance(factory, str):
            module, _, attribute = factory.partition(":")
            factory = functools.reduce(getattr, attribute.split("."), import_module(module))
        read = signature(factory, offer.kind, offer.parameters)
    except PluginError as error:
        raise PluginError(f"{offer.kind.name} {offer.name!r}: {error}") from error
    except Exception as error:
        raise PluginError(f"{offer.kind.name} {offer.name!r}: {type(error).__name__}: {error}") from error
    path = f"{factory.__module__}:{factory.__qualname__}" if hasattr(factory, "__qualname__") else repr(offer.factory)
    summary = _first_sentence(offer.summary or inspect.getdoc(factory) or "")
    tasks = getattr(factory, "tasks", ())
    tasks = (tasks,) if isinstance(tasks, str) else tuple(tasks)
    supplied = tuple(sorted(read.supplied.values()))
    found = Component(offer.kind.name, offer.name, path, summary, read.options, plugin, tasks, supplied)
    return Loaded(found, factory, read)


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<!\bal)\. ", paragraph, maxsplit=1)[0].removesuffix(".")  # "et al." ends no sentence


def describe(name: str, value: str) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """Return what a plugin offers as JSON's types, and kind, name and reason of what of it can't be used: a factory that
    can't be imported, or whose signature can't be read. Imports all of it: for the child process.

    Raises:
        PluginError: see `collect`.
    """
    plugin = Plugin(name, value, "", "")
    components: list[dict[str, Any]] = []
    broken: list[list[str]] = []
    for offer in collect(name, value):
        try:
            components.append(_loaded(offer, plugin).component.dump())
        except PluginError as error:
            broken.append([offer.kind.name, offer.name, str(error)])
    return components, broken
