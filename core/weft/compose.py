"""Hydra's part: the groups that plugins offer, and the composition of a config."""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import weft
from weft import configuration, hydra_guard, mistakes, reference, spelling
from weft.catalog import Component, catalog
from weft.configuration import Configuration
from weft.errors import ConfigError, PluginError
from weft.kinds import KINDS
from weft.options import show
from weft.settings import Reference

log = logging.getLogger("weft")

CONFIG = "config"


class PluginSource(ConfigSource):
    """Serves what the catalog knows as Hydra's config groups. Imports no plugin."""

    @staticmethod
    def scheme() -> str:
        return "plugins"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path.strip("/") in ("", *_groups())

    def is_config(self, config_path: str) -> bool:
        group, _, name = config_path.strip("/").removesuffix(".yaml").rpartition("/")
        return group in _groups() and name in _names(group)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        group = config_path.strip("/")
        if group == "":
            return [] if results_filter == ObjectType.CONFIG else _groups()
        return _names(group) if group in _groups() and results_filter != ObjectType.GROUP else []

    def load_config(self, config_path: str) -> ConfigResult:
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        values: dict[str, Any] = {}
        package = None
        if name != "none":
            try:
                component = catalog().find(group, name)
            except PluginError as error:
                raise ConfigLoadError(str(error)) from error
            values = {"name": name} | {option.name: _yaml(option.default) for option in component.options}
            package = f"{group}.{name}" if KINDS[group].several else None
        return ConfigResult(
            provider=self.provider,
            path=f"{self.scheme()}://{config_path}",
            config=OmegaConf.create(values),
            header={"package": package},
        )


class PluginSearchPath(SearchPathPlugin):
    """Puts the plugins behind all YAML: a file of the same name comes first."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if any(place.path == str(own_folder()) for place in search_path.get_path()):  # not in somebody else's Hydra app
            search_path.append("weft", "plugins://")


def _groups() -> list[str]:
    return sorted(name for name, kind in KINDS.items() if kind.chosen)


def _names(group: str) -> list[str]:
    absent = ["none"] if KINDS[group].several or group == "scheduler" else []
    return sorted([*catalog().names(group), *absent])


def _yaml(value: Any) -> Any:
    return [_yaml(item) for item in value] if isinstance(value, (list, tuple)) else value


def own_folder() -> Path:
    """Return the folder of weft's own config: inside the package when installed from a wheel, beside it in a checkout."""
    here = Path(weft.__file__).resolve().parent
    return next(place for place in (here / "conf", here.parent.parent / "conf") if (place / "config.yaml").is_file())


@contextlib.contextmanager
def hydra_app(config_dir: str | None = None) -> Iterator[Hydra]:
    """Open Hydra on weft's config, on `conf/` of the current folder and on `config_dir`, the last one first.

    Raises:
        ConfigError: `config_dir` is no folder, or the search path it asks for is not made of folders.
    """
    for plugin in (PluginSource, PluginSearchPath):
        Plugins.instance().register(plugin)
    own = own_folder()
    path = create_config_search_path(str(own))
    places = [(provider, Path(place)) for provider, place in (("user", "conf"), ("command-line", config_dir)) if place]
    for provider, place in places:
        if place.is_dir() and place.resolve() != own:
            path.prepend(provider, f"file://{place.resolve()}", SearchPathQuery(provider="main"))
        elif provider == "command-line" and not place.is_dir():
            raise ConfigError(f"--config-dir: {config_dir!r} is not a folder")
    hydra_guard.refuse_search_path([*(place for _, place in reversed(places)), own], CONFIG)
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield Hydra.create_main_hydra2("weft", path)
    finally:
        GlobalHydra.instance().clear()
        if before is not None:
            GlobalHydra.instance().initialize(before)


def compose(hydra: Hydra, overrides: Sequence[str], mode: RunMode = RunMode.RUN) -> DictConfig:
    """Return the composed config, `hydra` included, in which nothing can call code.

    Raises:
        ConfigError: it can't be composed; or something in it would have Hydra import or call what it names.
    """
    with mistakes.explained(overrides):
        config = unchecked(hydra, overrides, mode)
        check_hydra(config)
    return config


def unchecked(hydra: Hydra, overrides: Sequence[str], mode: RunMode) -> DictConfig:
    """Return what Hydra composes, and raise what it raises: see `mistakes.explained`. A sweep's own config is without the
    options of parts that each job chooses.

    Raises:
        ConfigError: a search path of what is no folder.
    """
    hydra_guard.refuse_overrides(overrides)
    applied = _of_no_job(hydra, overrides) if mode is RunMode.MULTIRUN else [*overrides]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", r"provider=.* is not available", UserWarning)  # it would go on without
        try:
            config = hydra.compose_config(CONFIG, applied, mode, with_log_configuration=False)
        except UserWarning as warning:
            place = str(warning).partition("path=")[2].removesuffix(" is not available.")
            raise ConfigError(f"hydra.searchpath: {place!r} is no folder that can be read") from None
    if len(applied) < len(overrides):
        config.hydra.overrides.task = [line for line in overrides if line not in config.hydra.overrides.hydra]
    return config


def _of_no_job(hydra: Hydra, overrides: Sequence[str]) -> list[str]:
    """Return a sweep's overrides without the options of parts that its jobs choose: of the kinds that are swept, or of all
    where a file that chooses parts is."""
    parsed = [spelling.parse(line) for line in overrides]
    swept = {found.key_or_group for found in parsed if found is not None and found.is_sweep_override()}
    kinds = {kind for kind, rules in KINDS.items() if rules.chosen}
    by_files = any(hydra.config_loader.get_group_options(name) for name in swept - kinds)
    chosen = kinds if by_files else swept & kinds
    return [
        line
        for line, found in zip(overrides, parsed, strict=True)
        if found is None or found.key_or_group in kinds or spelling.top(found) not in chosen
    ]


def check_hydra(config: DictConfig) -> None:
    """Check Hydra's part of a config: it calls no code, and the folders of runs and sweeps, named after other values, can be.

    Raises:
        ConfigError: see `hydra_guard.refuse_code`.
        OmegaConfBaseException: a folder's name stands for what isn't there.
    """
    hydra_guard.refuse_code(OmegaConf.to_container(config.hydra, resolve=False))
    OmegaConf.select(config, "hydra.run.dir")
    OmegaConf.select(config, "hydra.sweep.dir")


def read(config: DictConfig, given: Sequence[str]) -> Configuration:
    """Return a composed config, without its `hydra`, as a checked configuration. `given` are the overrides it came from.

    Raises:
        ConfigError, PluginError: see `configuration.read`; or an interpolation that leads nowhere.
    """
    job = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]) if "hydra" in config else config
    keys = spelling.given_keys(given)
    tree = _resolved(job)
    configuration.refuse_targets(tree)
    for kind, place, value in _left_over(tree, keys):
        _say_once(f"{place}={show(value)}: left out, it is for another {kind} than the one that was chosen")
    found = configuration.with_environment(checked(tree), keys)
    is_theirs = keys & {"reference.score", "reference.at_least", "reference.at_most"} and "reference.where" not in keys
    return found if is_theirs else _with_reference_where_it_holds(found)


def _left_over(tree: dict[str, Any], given: set[str]) -> Iterator[tuple[str, str, Any]]:
    """Take options out of a config that were meant for a part in whose place the command line put another, and yield them: the
    part's kind, the option's place, its value.

    An experiment's YAML chooses parts and sets their options; with `+experiment=lasso regularizer=none` the choice is gone, and
    the options would stay. What was typed beside the choice is never one of them, nor what no part of this kind has: a
    misspelt option of a YAML is left for `configuration.read` to refuse.
    """
    for kind in KINDS.values():
        value = tree.get(kind.name)
        if kind.name not in given or not isinstance(value, dict):
            continue
        offered = catalog().components[kind.name]
        if kind.several:
            extra = [name for name, part in value.items() if name in offered and isinstance(part, dict) and "name" not in part]
        else:
            chosen = offered.get(str(value.get("name")), ())
            others = _options_of(component for same in offered.values() for component in same) - _options_of(chosen)
            extra = [name for name in value if name in others] if chosen else []
        for name in extra:
            place = f"{kind.name}.{name}"
            if not any(key == place or key.startswith(f"{place}.") for key in given):
                yield kind.name, place, value.pop(name)


def _options_of(components: Iterable[Component]) -> set[str]:
    return {option.name for component in components for option in component.options}


def _with_reference_where_it_holds(found: Configuration) -> Configuration:
    """Return it without its reference where that is of something else, and say so: of other parts or values than `where` says,
    or of a metric in whose place others were chosen."""
    wanted = found.settings.reference
    differing = reference.differing(wanted, found.params(), KINDS)
    metric = (wanted.score or "").partition("/")[2]
    chosen = [part.name for part in found.parts["metric"]]
    if differing:
        why = f"is known where {', '.join(differing)}, and here is {', '.join(differing.values())}"
    elif chosen and metric not in chosen and metric in catalog().components["metric"]:
        why = f"is none of the metrics that were chosen, {', '.join(chosen)}"
    else:
        return found
    _say_once(f"no reference: {wanted.score} {why}")
    return replace(found, settings=replace(found.settings, reference=Reference()))


@functools.cache
def _say_once(text: str) -> None:
    log.warning("%s", text)


def checked(tree: Mapping[str, Any]) -> Configuration:
    """Return plain values as a checked configuration.

    Raises:
        ConfigError, PluginError: see `configuration.read`.
    """
    return configuration.read(tree, catalog())


def changed(tree: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a run's config, as plain values, with overrides as on the command line: a choice brings its default options, an
    option alone leaves the others as they are.

    Raises:
        ConfigError: see `compose`.
    """
    if not overrides:
        return dict(tree)
    overrides = spelling.quoted(overrides, catalog())
    places = [override.partition("=")[0].split(".") for override in overrides]
    kept = {place[0] for place in places if KINDS.get(place[0]) and [place[0]] not in places}
    with hydra_app() as hydra:
        config = compose(hydra, [*(_choice(kind, tree.get(kind)) for kind in sorted(kept)), *overrides])
        given = _resolved(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
    found = copy.deepcopy(dict(tree))
    for place in places:
        inside, source = found, given
        for key in place[:-1]:
            inside, source = inside.setdefault(key, {}), source[key]
        inside[place[-1]] = source[place[-1]]
    return found


def _choice(kind: str, chosen: Any) -> str:
    """Return the override that chooses what a config has chosen."""
    if KINDS[kind].several:
        return f"{kind}=[{','.join(chosen or ())}]"
    return f"{kind}={chosen['name'] if chosen else 'null'}"


def _resolved(config: DictConfig) -> dict[str, Any]:
    try:
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{getattr(error, 'full_key', '') or 'config'}: {mistakes.first_line(error)}") from None
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def configured(overrides: Sequence[str], config_dir: str | None = None) -> tuple[Configuration, Path]:
    """Compose and check one run; return it with the folder it is to have."""
    _say_once.cache_clear()
    overrides = spelling.quoted(overrides, catalog())
    with hydra_app(config_dir) as hydra:
        config = compose(hydra, overrides)
        return read(config, overrides), Path(str(OmegaConf.select(config, "hydra.run.dir")))


def jobs(hydra: Hydra, config: DictConfig) -> list[list[str]] | None:
    """Return the overrides of each job that Hydra's own sweeper would run; None where another sweeper decides.

    Raises:
        ConfigError: one sweeps over nothing: a glob that fits no name, an empty range.
    """
    if config.hydra.sweeper._target_ != f"{BasicSweeper.__module__}.{BasicSweeper.__qualname__}":
        return None
    params = OmegaConf.to_container(config.hydra.sweeper.params or {}) if config.hydra.sweeper.get("params") else {}
    assert isinstance(params, dict)
    arguments = [f"{key!s}={value}" for key, value in params.items()] + list(config.hydra.overrides.task)
    parsed = OverridesParser.create(hydra.config_loader).parse_overrides(arguments)  # glob(*) asks it what there is
    for override in parsed:
        if override.is_sweep_override() and not any(True for _ in override.sweep_string_iterator()):
            known = hydra.config_loader.get_group_options(override.key_or_group)
            raise ConfigError(f"{override.input_line}: is no value at all{'; there are ' * bool(known)}{', '.join(known)}")
    return [job for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
