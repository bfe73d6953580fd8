"""A plugin package to begin with, complete and working, from the templates beside this file: `weft new`."""

from __future__ import annotations

import ast
import inspect
import keyword
import re
import shlex
import shutil
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from string import Template

from weft import __version__, hookspecs
from weft.catalog import GROUP, Catalog
from weft.errors import ConfigError, did_you_mean
from weft.kinds import KINDS

_FILES = {
    "pyproject.toml": "pyproject.toml.template",
    "README.md": "README.md.template",
    "LICENSE": "LICENSE",
    ".gitignore": "gitignore.template",
    ".github/workflows/test.yml": "workflow.yml.template",
    "$module/__init__.py": "kinds/$kind.py.template",
    "$module/py.typed": None,
    "tests/test_$name.py": "kinds/test_$kind.py.template",
    "tests/test_conformance.py": "test_conformance.py.template",
}
"""What a package is made of, and the template of each file; None: it is empty."""
_MODULE, _TEST = "$module/__init__.py", "tests/test_$name.py"

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 40
"""Characters of a name: longer ones would not fit into the lines that the templates have for them."""
_VALUES = ("none", "null", "true", "false", "inf", "nan", "on", "off", "yes", "no")
"""What a command line or YAML reads as something else than a name."""


@dataclass(frozen=True)
class Package:
    """A package that was written: its folder, the files in it, and the commands to go on with."""

    folder: Path
    files: tuple[str, ...]
    commands: tuple[str, ...]


def write(kind: str, given: str, folder: Path | None, catalog: Catalog) -> Package:
    """Write a package whose plugin offers a component of that kind and name, into `folder` or `weft-NAME`.

    Raises:
        ConfigError: no such kind, a name that can't be or is taken, a folder that is there or can't be made. Nothing was
            written.
    """
    if kind not in KINDS:
        raise ConfigError(f"kind: no kind named {kind!r}{did_you_mean(kind, KINDS)}; there are {', '.join(KINDS)}")
    words = _words(kind, _checked(given))
    files = _rendered(words)
    module = files[_filled(_MODULE, words)]
    _check_code(words)
    _check_free(words, module, catalog)
    target = folder or Path(words["distribution"])
    _put(target, files)
    place = str(target) if target.is_absolute() else f"./{target}"  # without a slash pip would take it for a name
    install = f"pip install -e {shlex.quote(f'{place}[test]')}"
    return Package(target, tuple(files), (install, f"weft plugins {kind}", _command(module)))


def _words(kind: str, name: str) -> dict[str, str]:
    """Return what stands in templates for what."""
    contract = inspect.getdoc(getattr(hookspecs, KINDS[kind].hook)) or ""
    return {
        "kind": kind,
        "name": name,
        "Name": "".join(map(str.capitalize, name.split("_"))),
        "module": f"weft_{name}",
        "distribution": f"weft-{name.replace('_', '-')}",
        "version": __version__,
        "contract": textwrap.fill(" ".join(contract.split()), 128),
    }


def _rendered(words: Mapping[str, str]) -> dict[str, str]:
    """Return the package's files, each path in it with its text. What the README says of the component is its docstring's."""
    module = _filled(_template(_filled(_FILES[_MODULE] or "", words)), words)
    words = {**words, "command": _command(module), "summary": _summary(module)}
    return {
        _filled(path, words): _filled(_template(_filled(template, words)), words) if template else ""
        for path, template in _FILES.items()
    }


def _template(name: str) -> str:
    return resources.files("weft").joinpath("templates", name).read_text(encoding="utf-8")


def _filled(text: str, words: Mapping[str, str]) -> str:
    return Template(text).substitute(words)


def _command(module: str) -> str:
    """Return the command in a module's docstring that holds its component against a built-in one."""
    said = ast.get_docstring(ast.parse(module)) or ""
    return next(line for line in said.splitlines() if line.startswith("weft run "))


def _summary(module: str) -> str:
    """Return the first sentence of the docstring of the module's component, which is the first thing it defines."""
    first = next(node for node in ast.parse(module).body if isinstance(node, (ast.ClassDef, ast.FunctionDef)))
    return (ast.get_docstring(first) or "").partition("\n")[0]


def _checked(given: str) -> str:
    """Return the name that is meant: with `_` where `-` was given, as components are called.

    Raises:
        ConfigError: it can't be the name of a component, a module, a distribution and a Python object alike.
    """
    name = given.replace("-", "_")
    if name != name.lower():
        small = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        raise ConfigError(f"name: {given!r} has capital letters, and names have none; take {small.removeprefix('weft_')!r}")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"name: {given!r} can't be one: letters from a to z, digits, and single '_' or '-' between them, "
            "not starting with a digit"
        )
    if len(name) > _LONGEST:
        raise ConfigError(f"name: {given!r} has {len(name)} characters; it can have {_LONGEST}")
    if name.startswith("weft_"):
        raise ConfigError(f"name: {given!r}: the package is called weft-NAME anyway; take {name.removeprefix('weft_')!r}")
    if keyword.iskeyword(name):
        raise ConfigError(f"name: {given!r} is a word of Python's own; take another")
    if name in _VALUES:
        raise ConfigError(f"name: {given!r} is read as a value, not as a name, on a command line or in YAML; take another")
    if name.startswith("test") or name == "conformance":
        raise ConfigError(f"name: {given!r} would be taken for a test by pytest; take another")
    return name


def _check_code(words: Mapping[str, str]) -> None:
    """Refuse a name that the written code has for something else: a class `Range`, a function `torch`.

    Raises:
        ConfigError: says what it would hide.
    """
    neutral = _words(words["kind"], "ñ")  # which no name has
    files = _rendered(neutral)
    used: set[str] = set()
    for path in (_MODULE, _TEST):
        for node in ast.walk(ast.parse(files[_filled(path, neutral)])):
            if isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.alias):
                used.add(node.asname or node.name)
    own = words["Name"] if neutral["Name"] in used else words["name"]
    if own in used:
        raise ConfigError(
            f"name: {words['name']!r} would be {own!r} in the module, which needs that for something else; take another"
        )


def _check_free(words: Mapping[str, str], module: str, catalog: Catalog) -> None:
    """Refuse a name that is taken: by a component of a kind that the module offers, by a plugin, a distribution or a module.

    Raises:
        ConfigError: says by whom.
    """
    name = words["name"]
    for offered in (kind.name for kind in KINDS.values() if f"def {kind.hook}(" in module):
        for taken, components in catalog.components[offered].items():
            if _alike(taken, name):
                raise ConfigError(f"name: {offered} {taken!r} is offered already, by {components[0].plugin}; take another")
        for (kind, taken), (plugin, _) in catalog.broken.items():
            if kind == offered and _alike(taken, name):
                raise ConfigError(f"name: {kind} {taken!r} is offered already, by {plugin}, though broken; take another")
    for entry in entry_points(group=GROUP):
        if _alike(entry.name, name):
            owner = f", of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
            raise ConfigError(f"name: there is a plugin {entry.name!r} already{owner}; take another")
    try:
        there = version(words["distribution"])
    except PackageNotFoundError:
        pass
    else:
        raise ConfigError(f"name: {words['distribution']} {there} is installed already; take another")
    if (spec := find_spec(words["module"])) is not None:
        where = spec.origin or ", ".join(spec.submodule_search_locations or ())
        raise ConfigError(f"name: there is a module {words['module']} already, {where}; take another")


def _alike(one: str, other: str) -> bool:
    return one.replace("-", "_").lower() == other


def _put(target: Path, files: Mapping[str, str]) -> None:
    """Write the files into a new folder: all of them, or nothing.

    Raises:
        ConfigError: the folder is there, or can't be made or filled.
    """
    try:
        target.mkdir()  # one step that fails where something is there, whoever made it meanwhile
    except FileExistsError:
        raise ConfigError(f"path: {target} is there already, and nothing is overwritten; give another with --path") from None
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"path: {target.parent} is no folder; make it first, or give another with --path") from None
    except OSError as error:
        raise ConfigError(f"path: {target} can't be made: {error.strerror}; give another with --path") from error
    try:
        for path, text in files.items():
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, OSError):
            raise ConfigError(f"path: {target} can't be written: {error.strerror}; nothing is left of it") from error
        raise
