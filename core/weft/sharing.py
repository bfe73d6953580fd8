"""The jobs of a sweep. Those that differ only in values share one composition of what they choose from groups.

Hydra composes in two steps: what is chosen from groups is found, read and merged, which takes long; then values are set in the
outcome. The first step is done once for all jobs that choose alike, the second for each, by Hydra's own function.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import Container, DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from weft import compose, hydra_guard, mistakes, spelling
from weft.configuration import Configuration
from weft.errors import ConfigError, UserError

_NAMED_BY_ANOTHER = re.compile(r"\$\{[^{},]*\$\{")
"""An interpolation of an interpolation: which value it leads to, another value says."""


@dataclass(frozen=True)
class Composed:
    """One job: its overrides, and either its configuration or the mistake that is in it."""

    overrides: tuple[str, ...]
    configuration: Configuration | None
    error: UserError | None


def compose_jobs(hydra: Hydra, overrides: Sequence[str]) -> tuple[DictConfig, list[Composed]]:
    """Compose and read every job of a sweep before any of them starts. Return the sweep's own config, and the jobs: none where
    another sweeper than Hydra's basic one decides what they are.

    Raises:
        ConfigError: of the sweep's own config, or where one sweeps over nothing. A job's mistake is not raised.
    """
    config = compose.compose(hydra, overrides, RunMode.MULTIRUN)
    with mistakes.explained(overrides):
        jobs = compose.jobs(hydra, config) or []
    composer = Composer(hydra, list(config.hydra.overrides.hydra))
    return config, [composer.job(job) for job in jobs]


class Composer:
    """Composes jobs of one sweep, and keeps what they share.

    Args:
        hydra: see `compose.hydra_app`; open for as long as this composes.
        kept: the sweep's overrides of `hydra`, which each job has before its own.
    """

    def __init__(self, hydra: Hydra, kept: Sequence[str]):
        self._hydra = hydra
        self._kept = [*kept]
        loader = hydra.config_loader
        assert isinstance(loader, ConfigLoaderImpl)
        _, self._repository = loader._parse_overrides_and_create_caching_repo(compose.CONFIG, self._kept)
        self._groups: dict[str, bool] = {}
        self._bases: dict[tuple[str, ...], _Base | UserError] = {}

    def job(self, overrides: Sequence[str]) -> Composed:
        """Return one job, composed and read."""
        try:
            return Composed(tuple(overrides), compose.read(self.compose(overrides), overrides), None)
        except UserError as error:
            return Composed(tuple(overrides), None, type(error)(str(error)))  # without the frames that led to it

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return a job's config as Hydra composes it, without `hydra`. It stands until the next one is composed: jobs share the
        nodes that no value is set in.

        Raises:
            ConfigError: see `compose.compose`.
        """
        config = self._shared(overrides)
        if config is None:
            config = compose.compose(self._hydra, [*self._kept, *overrides])
            _without_hydra(config)
        return config

    def _shared(self, overrides: Sequence[str]) -> DictConfig | None:
        """Return a job's config, made of what it shares with others; None where it must be composed on its own."""
        choices: list[str] = []
        values: list[Override] = []
        for line in overrides:
            override = spelling.parse(line)
            if override is None or override.is_sweep_override() or spelling.top(override) == "hydra":
                return None
            if isinstance(override.value(), dict) or not self._is_group(override.key_or_group):
                values.append(override)
            else:
                choices.append(line)
        base = self._base(tuple(choices))
        tops = {spelling.top(override) for override in values}
        same: list[Any] = [base.config._get_node(name) for name in base.config if name not in tops]
        config = copy.deepcopy(base.config, {id(node): node for node in same})
        for node in same:
            node._set_parent(config)  # where interpolations in it begin
        with mistakes.explained(overrides):
            for override in values:
                if _meets_interpolation(config, override):
                    return None
                ConfigLoaderImpl._apply_overrides_to_config([override], config)
        if not base.is_sound(config, values):
            return None
        _without_hydra(config)
        return config

    def _is_group(self, name: str) -> bool:
        if name not in self._groups:
            self._groups[name] = self._repository.group_exists(name)
        return self._groups[name]

    def _base(self, choices: tuple[str, ...]) -> _Base:
        """Return what jobs of these choices from groups share.

        Raises:
            ConfigError: there are no such jobs.
        """
        if choices not in self._bases:
            try:
                self._bases[choices] = self._composed([*self._kept, *choices])
            except UserError as error:
                self._bases[choices] = type(error)(str(error))  # without the frames that led to it
        base = self._bases[choices]
        if isinstance(base, UserError):
            raise type(base)(str(base))
        return base

    def _composed(self, overrides: Sequence[str]) -> _Base:
        with mistakes.explained(overrides):
            return _Base(compose.unchecked(self._hydra, overrides, RunMode.RUN))


class _Base:
    """A config before a job's values are set in it."""

    def __init__(self, config: DictConfig):
        self.config = config
        values = (value for _, _, value in hydra_guard.walk(OmegaConf.to_container(config), ""))
        interpolations = [value for value in values if isinstance(value, str) and "${" in value]
        self._leads = set(re.findall(r"\w+", " ".join(interpolations)))
        self._leads_anywhere = any(map(_NAMED_BY_ANOTHER.search, interpolations))
        self._sound: set[tuple[str, ...]] = set()

    def is_sound(self, config: DictConfig, values: Sequence[Override]) -> bool:
        """Whether Hydra's part of a job's config can be; composed alone, the job says why not. Looked at once for all jobs
        with the same values where interpolations lead to."""
        lines = [str(value.input_line) for value in values]
        leads_anywhere = self._leads_anywhere or "${" in "".join(lines)
        leading = tuple(
            line for line, value in zip(lines, values, strict=True) if leads_anywhere or spelling.top(value) in self._leads
        )
        if leading not in self._sound:
            try:
                compose.check_hydra(config)
            except (ConfigError, OmegaConfBaseException):
                return False
            self._sound.add(leading)
        return True


def _without_hydra(config: DictConfig) -> None:
    with open_dict(config):
        del config["hydra"]


def _meets_interpolation(config: DictConfig, override: Override) -> bool:
    """Whether what an override does depends on what an interpolation stands for: it may be of `hydra`, which is shared here."""
    value = override.value()
    looks = override.is_delete() or override.is_add() or isinstance(value, dict)  # at what is there already
    names = override.key_or_group.split(".")
    node: Any = config
    for name in names if looks else names[:-1]:
        if not isinstance(node, (DictConfig, ListConfig)):
            return False
        key: Any = int(name) if isinstance(node, ListConfig) and name.isdecimal() else name
        node = node._get_node(key, validate_access=False)
        if node is not None and node._is_interpolation():
            return True
    return isinstance(value, dict) and isinstance(node, Container) and "${" in str(OmegaConf.to_container(node))
