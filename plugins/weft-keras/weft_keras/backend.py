"""Keras on torch: imported without leaving a trace, and the settings that a model is built with."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch

_SETTINGS = {"backend": "torch", "floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


def keras_on_torch() -> Any:
    """Return Keras. The first call imports it, by its own defaults: a `keras.json` is neither read nor written, and the
    environment is afterwards as it was.

    Raises:
        ValueError: the environment asks for another backend, or Keras has been imported with another already.
    """
    if "keras" not in sys.modules:
        asked = os.environ.get("KERAS_BACKEND") or "torch"
        if asked != "torch":
            raise ValueError(f"KERAS_BACKEND is {asked}, and weft trains with torch: unset it, or set it to torch")
        with _by_its_defaults():
            importlib.import_module("keras")
    keras: Any = sys.modules["keras"]
    if keras.config.backend() != "torch":
        raise ValueError(
            f"Keras has been imported with the backend {keras.config.backend()}, and weft trains with torch: "
            "set KERAS_BACKEND=torch before its first import"
        )
    return keras


@contextlib.contextmanager
def _by_its_defaults() -> Iterator[None]:
    """Give Keras a home of its own for its import, which is when it reads its settings, or writes them where there are none.
    Downloads asked of it later go where they would have gone."""
    before = dict(os.environ)
    home = before.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    with tempfile.TemporaryDirectory(prefix="weft-keras-") as folder:
        Path(folder, "keras.json").write_text(json.dumps(_SETTINGS))
        os.environ.update(KERAS_HOME=folder, KERAS_BACKEND="torch")
        try:
            yield
        finally:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)
    sys.modules["keras.src.backend.config"]._KERAS_DIR = home  # type: ignore[attr-defined]


@contextlib.contextmanager
def settings_of_a_model(channels: Literal["first", "last"] = "first") -> Iterator[Any]:
    """Give Keras with the settings that models are built with: 32 bits, on the CPU, as weft does before it moves a model; where
    the channels are, first as in weft's images, or last as in its sequences. Afterwards all of it is as it was."""
    keras = keras_on_torch()
    config = keras.config
    floatx, policy, layout = config.floatx(), config.dtype_policy(), config.image_data_format()
    config.set_floatx("float32")
    config.set_dtype_policy("float32")
    config.set_image_data_format(f"channels_{channels}")
    try:
        with keras.device("cpu"):
            yield keras
    finally:
        config.set_floatx(floatx)
        config.set_dtype_policy(policy)
        config.set_image_data_format(layout)


@contextlib.contextmanager
def computing(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Let Keras compute on a device and in a precision. Left alone it moves what it is given to a GPU where there is one, and
    brings 64 bits down to 32 where two tensors meet, without a word, as JAX does."""
    keras = keras_on_torch()
    with keras.device(str(device)):
        if dtype != torch.float64:
            yield
            return
        _wide.enter(keras)
        try:
            yield
        finally:
            _wide.leave(keras)


class _Wide:
    """Lets Keras have 64 bits, from when the first enters until the last has left: threads share its settings."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._floatx = self._narrowed = ""

    def enter(self, keras: Any) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                table = _narrowing()
                self._floatx, self._narrowed = keras.config.floatx(), table["float64"]
                keras.config.set_floatx("float64")  # numbers that stand in a layer's code have this type
                table["float64"] = "float64"

    def leave(self, keras: Any) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                keras.config.set_floatx(self._floatx)
                _narrowing()["float64"] = self._narrowed


_wide = _Wide()


def _narrowing() -> dict[str, str]:
    """Return Keras's table of the types that it makes others, all of 64 bits."""
    table: dict[str, str] = sys.modules["keras.src.backend.common.dtypes"].BIT64_TO_BIT32_DTYPE
    return table
