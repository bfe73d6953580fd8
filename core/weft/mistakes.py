"""What Hydra and OmegaConf say of a mistake, in the terms of what the user typed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence

from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from weft import spelling
from weft.catalog import catalog
from weft.errors import ConfigError, PluginError, UnusableError, UserError, did_you_mean
from weft.kinds import KINDS


@contextlib.contextmanager
def explained(overrides: Sequence[str]) -> Iterator[None]:
    """Raise what Hydra or OmegaConf raise inside as a mistake of the user's, who has given these overrides.

    Raises:
        ConfigError: in the place of theirs.
        UnusableError: a plugin's component that was chosen is broken, or in conflict with another's.
    """
    try:
        yield
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise _explained(error, overrides) from None


def _explained(error: Exception, overrides: Sequence[str]) -> UserError:
    """Return what Hydra or OmegaConf said, in the terms of what the user typed."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(error.__cause__, UnusableError):
        return UnusableError(str(error.__cause__))
    if isinstance(error.__cause__, PluginError):
        return ConfigError(str(error.__cause__))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_choice(error.missing_cfg_file, error.options or ())
    unknown = re.match(r"Could not override '([^']+)'", str(error))
    if unknown:
        return _unknown_key(unknown[1], cause)
    if isinstance(error, YAMLError):
        return ConfigError(f"a YAML file can't be read: {error}")
    if "Ambiguous value for argument" in str(error):
        override = re.search(r"'(.+)'$", first_line(error))
        key, _, value = (override[1] if override else "=").partition("=")
        return ConfigError(f"{key}: {value!r} is several values: -m sweeps over them, {key}=[{value}] is a list of them")
    if "Error merging override" in str(error) and isinstance(cause, OmegaConfBaseException):
        return ConfigError(f"{first_line(error)[len('Error merging override ') :]}: {first_line(cause)}")
    culprit = next((override for override in overrides if spelling.parse(override) is None), "")
    return ConfigError(f"{culprit + ': ' if culprit else ''}{first_line(error)}")


def _unknown_choice(file: str, known: Sequence[str]) -> UserError:
    group, _, name = file.removesuffix(".yaml").rpartition("/")
    if group in KINDS:
        try:
            catalog().find(group, name)
        except UnusableError as error:
            return UnusableError(str(error))
        except PluginError as error:
            return ConfigError(f"{group}={name}: {error}")
    there = f"there are {', '.join(known)}" if known else "there are none"
    return ConfigError(f"{group}={name}: no {group} named {name!r}{did_you_mean(name, known)}; {there}")


def _unknown_key(key: str, cause: BaseException | None) -> ConfigError:
    top, _, rest = key.partition(".")
    parent = getattr(cause, "parent_node", None)
    missing = str(getattr(cause, "key", key.rpartition(".")[2]))
    known = [str(name) for name in parent or ()]
    if top in KINDS and KINDS[top].chosen and rest:
        name = rest.partition(".")[0]
        if KINDS[top].several and missing in (name, top):
            names = catalog().names(top)
            if name in names:
                return ConfigError(f"{key}: {top} {name!r} is not chosen; choose it with {top}=[{name}]")
            whose = [one for one in known if one in names and name in _options(top, one)]
            if whose:
                return ConfigError(f"{key}: is an option of one {top}: {' or '.join(f'{top}.{one}.{name}' for one in whose)}")
            return ConfigError(f"{key}: no {top} named {name!r}{did_you_mean(name, names)}; there are {', '.join(names)}")
        if missing == top:
            return ConfigError(
                f"{key}: no {top} is chosen; choose it with {top}=NAME: there are {', '.join(catalog().names(top))}"
            )
    elif key == "experiment":
        return ConfigError(
            "experiment: is added to what there is: +experiment=NAME, whose file begins with # @package _global_"
        )
    elif not rest:
        if isinstance(parent, DictConfig) and (place := _of_hydra(parent, key)):
            return ConfigError(f"{key}: no such key; it is {place}.{key}")
        known = [*known, *(name for name, kind in KINDS.items() if kind.chosen)]
    part = parent.get("name") if top in KINDS and isinstance(parent, DictConfig) else None
    known = sorted({*known} - {"name", "hydra"})
    there = f"{top} {part} has" if part else "there are"
    there += f" {', '.join(known) or 'none'}"
    return ConfigError(f"{key}: no such key{did_you_mean(missing, known)}; {there}")


def _of_hydra(config: DictConfig, key: str) -> str | None:
    """Return whose option a key is of those who make or start a sweep's jobs, as they are chosen."""
    places = ("hydra.sweeper", "hydra.launcher")
    return next((place for place in places if key in (OmegaConf.select(config, place) or ())), None)


def _options(kind: str, name: str) -> list[str]:
    with contextlib.suppress(PluginError):
        return [option.name for option in catalog().find(kind, name).options]
    return []


def first_line(error: BaseException) -> str:
    """Return the first line of a message: what follows is for those who know Hydra."""
    return str(error).strip().partition("\n")[0]
