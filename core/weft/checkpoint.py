"""A tree of states in one file, written whole or not at all, read without pickle.

Tensors are kept as safetensors; everything around them (dicts, lists, tuples, numbers, texts, None) as JSON in the same
file's header, which refers to the tensors by name.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from weft.errors import ConfigError

_TREE = "tree"


def write(path: Path, tree: Mapping[str, Any]) -> None:
    """Write the tree. Whatever happens meanwhile, `path` holds the old content or the new.

    Raises:
        TypeError: something in it is none of the above; the message names its place.
    """
    tensors: dict[str, Tensor] = {}
    described = _pack(tree, "", tensors)
    write_atomically(path, save(tensors, {_TREE: json.dumps(described)}))


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return a tree that `write` wrote.

    Raises:
        ConfigError: there is no such file, or it is not one of ours.
    """
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            described = json.loads((file.metadata() or {})[_TREE])
            found = _unpack(described, file)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such checkpoint") from None
    except Exception as error:  # safetensors raises a class of its own that it doesn't export in every version
        raise ConfigError(f"{path}: not a checkpoint of weft ({type(error).__name__}: {error})") from error
    assert isinstance(found, dict)
    return found


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the file, make it durable, then rename: a crash leaves the old file or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself is durable only then
    finally:
        os.close(folder)


def _pack(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """Return the value as JSON's types; containers and tensors become a list that begins with what they are."""
    if isinstance(value, Tensor):
        tensors[place] = value.detach().to("cpu", copy=True).contiguous()
        return ["tensor", place]
    if isinstance(value, Mapping):
        items = [[_pack(key, "", {}), _pack(item, f"{place}/{key}", tensors)] for key, item in value.items()]
        return ["dict", items]
    if isinstance(value, (list, tuple)):
        items = [_pack(item, f"{place}/{index}", tensors) for index, item in enumerate(value)]
        return ["tuple" if isinstance(value, tuple) else "list", items]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f"{place}: a {type(value).__name__} can't be kept in a checkpoint")


def _unpack(value: Any, file: Any) -> Any:
    if not isinstance(value, list):
        return value
    what, content = value
    if what == "tensor":
        # A copy, aligned as torch aligns: in the file tensors begin anywhere, and there a product may have other last bits.
        return file.get_tensor(content).clone()
    if what == "dict":
        return {_unpack(key, file): _unpack(item, file) for key, item in content}
    items = [_unpack(item, file) for item in content]
    return tuple(items) if what == "tuple" else items
