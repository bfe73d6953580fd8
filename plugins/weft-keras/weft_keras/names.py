"""Names for layers and variables that depend on the model alone, where Keras's own count what the process has made so far."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any


def layer_names(layers: Iterable[Any]) -> list[str]:
    """Return a name for each layer of a model: its own, or what it is with a number, where Keras named it: dense, dense_1, …"""
    return distinct(_given(layer) or _kind(layer) for layer in layers)


def variable_names(layer: Any) -> list[str]:
    """Return a name for each of a layer's variables: kernel, bias, …; of layers inside, theirs before it as far as it takes to
    tell them apart: query_kernel, forward_lstm_kernel."""
    paths = [_inside(variable.path, layer.name) for variable in layer.variables]
    ends = [path[-1] for path in paths]
    shared = set.intersection(*(set(path[:-1]) for path in paths if len(path) > 1)) if any(map(_is_long, paths)) else set()
    return distinct(
        end if ends.count(end) == 1 else "_".join([*(part for part in path[:-1] if part not in shared), end])
        for path, end in zip(paths, ends, strict=True)
    )


def distinct(names: Iterable[str]) -> list[str]:
    """Return the names with numbers after those that were there before."""
    found: list[str] = []
    for name in names:
        candidate, number = name, 0
        while candidate in found:
            number += 1
            candidate = f"{name}_{number}"
        found.append(candidate)
    return found


def free(name: str, module: Any) -> str:
    """Return the name, with a line under it where a module has something of that name already."""
    return f"{name}_" if hasattr(type(module), name) or name in vars(module) else name


def _given(layer: Any) -> str:
    """Return the name that a layer was given, or nothing where it is Keras's: its kind, and perhaps a number."""
    by_keras = re.fullmatch(rf"{_kind(layer)}(_\d+)?", layer.name)
    return "" if by_keras else re.sub(r"\W", "_", layer.name)


def _kind(layer: Any) -> str:
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _inside(path: str, name: str) -> list[str]:
    """Return a variable's path from its layer on, without the numbers."""
    parts = path.split("/")
    parts = parts[parts.index(name) + 1 :] if name in parts[:-1] else parts[-1:]
    return [*(re.sub(r"_\d+$", "", part) for part in parts[:-1]), parts[-1]]


def _is_long(path: list[str]) -> bool:
    return len(path) > 1
