"""A config chooses; it can't call code. Hydra has keys that import or call what they name: they are refused here.

The launcher and the sweeper are Hydra's own plugins, instantiated by the `_target_` of their registered config: those
targets, and no others, are admitted.
"""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from weft.configuration import FORBIDDEN
from weft.errors import ConfigError

_LOGGING_CALLS = ("()", "class", "factory")
_LOGGING_KNOWN = ("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler", "colorlog.ColoredFormatter")
_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
_RESOLVED_LATER = ("hydra.job_logging", "hydra.hydra_logging", "hydra.job.env_set")
_LOG_FILE = "${hydra.runtime.output_dir}/${hydra.job.name}.log"
_LOADER_VARIABLES = ("PYTHON", "LD_", "DYLD_", "WEFT_", "PATH")


def refuse_overrides(overrides: Sequence[str]) -> None:
    """Refuse what Hydra would act upon while it composes.

    Raises:
        ConfigError: an override of the search path that names a package.
    """
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+~") == "hydra.searchpath" and "pkg:" in value:
            raise ConfigError(f"{override}: a search path is made of folders (file://…); a package would be imported")


def refuse_search_path(folders: Sequence[Path], name: str) -> None:
    """Refuse a search path with packages in the primary config, the only file that may hold one.

    Raises:
        ConfigError: names the file.
    """
    file = next((folder / f"{name}.yaml" for folder in folders if (folder / f"{name}.yaml").is_file()), None)
    if file is None:
        return
    try:
        found = OmegaConf.select(OmegaConf.load(file), "hydra.searchpath")
    except (YAMLError, OmegaConfBaseException):
        return  # composition reads the same file and says what is wrong with it
    for place in found or ():
        if str(place).startswith("pkg:"):
            raise ConfigError(f"{file}: hydra.searchpath: {place!r} would be imported; a search path is made of folders")


def check_logging(hydra: DictConfig) -> None:
    """Set up logging as Hydra will, but for its files, and put it back.

    Raises:
        ConfigError: Python's logging refuses it.
    """
    verbose = OmegaConf.to_container(hydra, resolve=False).get("verbose")  # type: ignore[union-attr]
    names = verbose if isinstance(verbose, list) else [verbose]
    if not isinstance(verbose, bool) and not all(isinstance(name, str) for name in names):
        raise ConfigError(f"hydra.verbose: {verbose!r} is none of true, false, a logger's name, a list of names")
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    for name in ("hydra_logging", "job_logging"):
        wanted = OmegaConf.to_container(hydra[name], resolve=False) if hydra[name] else None
        if not isinstance(wanted, dict):
            continue
        for handler in (wanted.get("handlers") or {}).values():
            if isinstance(handler, dict) and "filename" in handler:
                kept = {key: value for key, value in handler.items() if key in ("level", "formatter", "filters")}
                handler.clear()
                handler.update({"class": "logging.NullHandler", **kept})
        try:
            logging.config.dictConfig({**{str(key): value for key, value in wanted.items()}, "disable_existing_loggers": False})
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ConfigError(f"hydra.{name}: {error}" + (f": {error.__cause__}" if error.__cause__ else "")) from None
        finally:
            root.setLevel(before[0])
            root.handlers[:] = before[1]


def refuse_code(hydra: Any) -> None:
    """Check Hydra's part of a composed config, unresolved.

    Raises:
        ConfigError: a callback, an unknown launcher or sweeper, a logging class that is not logging's, a variable that
            changes what a child process loads.
    """
    if hydra.get("callbacks"):
        raise ConfigError("hydra.callbacks: callbacks of Hydra are not run; write a weft callback (callback=NAME)")
    known = _known_targets()
    for place, key, value in walk(hydra, "hydra"):
        if key in FORBIDDEN and place.startswith(("hydra.launcher", "hydra.sweeper")) and key != "_target_":
            if value not in (None, True, False, [], "none", "all", "partial", "object"):
                raise ConfigError(f"{place}: {key} is not allowed in a config")
        elif key in FORBIDDEN and (key != "_target_" or value not in known):
            choices = ", ".join(sorted(known))
            raise ConfigError(f"{place}: {value!r} is not allowed: a config can't call code; there are {choices}")
        if place.startswith(_RESOLVED_LATER) and isinstance(value, str) and "${" in value and value != _LOG_FILE:
            raise ConfigError(f"{place}: {value!r} is not allowed: what it stands for can't be checked beforehand")
        if place.startswith(("hydra.job_logging", "hydra.hydra_logging")):
            if key in _LOGGING_CALLS and value not in _LOGGING_KNOWN:
                raise ConfigError(f"{place}: {value!r} is not allowed; there are {', '.join(_LOGGING_KNOWN)}")
            if isinstance(value, str) and value.startswith(("ext://", "cfg://")) and value not in _STREAMS:
                raise ConfigError(f"{place}: {value!r} is not allowed; there are {', '.join(_STREAMS)}")
    for part in ("launcher", "sweeper"):
        chosen = hydra.get(part)
        if not isinstance(chosen, Mapping) or chosen.get("_target_") not in known:
            raise ConfigError(f"hydra.{part}: {chosen!r} is none; choose it with hydra/{part}=NAME")
    job = hydra.get("job") or {}
    if job.get("chdir"):
        raise ConfigError("hydra.job.chdir: a run stays in the folder it was started in; its output goes to runs=FOLDER")
    for variable in job.get("env_set") or {}:
        if str(variable).upper().startswith(_LOADER_VARIABLES):
            raise ConfigError(f"hydra.job.env_set.{variable}: changes what a process loads; set it outside")


def _known_targets() -> set[str]:
    """Return the targets of the launchers and sweepers that installed Hydra plugins have registered."""
    found: set[str] = set()
    for group in ("launcher", "sweeper"):
        tree = ConfigStore.instance().repo.get("hydra", {}).get(group, {})
        for node in _nodes(tree):
            content = OmegaConf.to_container(node, resolve=False)
            found.update(str(value) for _, key, value in walk(content, "") if key == "_target_")
    return found


def _nodes(tree: Any) -> Iterator[Any]:
    for value in tree.values():
        if isinstance(value, dict):
            yield from _nodes(value)
        elif value.node is not None:
            yield value.node


def walk(tree: Any, place: str) -> Iterator[tuple[str, str, Any]]:
    """Yield the place, the key and the value of everything in a tree."""
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, (list, tuple)) else ()
    for key, value in items:
        here = f"{place}.{key}"
        yield here, str(key), value
        yield from walk(value, here)
