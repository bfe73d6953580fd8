"""How Keras is imported, each time in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def python(code: str, home: Path, **environment: str) -> str:
    """Run code in a process with another home; return what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KERAS")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env={**kept, "HOME": str(home), **environment},
        cwd=home,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_plugin_itself_imports_neither_keras_nor_torch(tmp_path: Path) -> None:
    code = "import weft_keras, sys; print([name for name in ('keras', 'torch') if name in sys.modules])"
    assert python(code, tmp_path) == "[]"


def test_importing_keras_leaves_no_trace(tmp_path: Path) -> None:
    code = """
import os
before = dict(os.environ)
from weft_keras.backend import keras_on_torch
keras = keras_on_torch()
assert dict(os.environ) == before
print(keras.config.backend(), keras.config.floatx(), keras.config.image_data_format(), keras.src.backend.config.keras_home())
"""
    told = python(code, tmp_path)
    assert told == f"torch float32 channels_last {tmp_path}/.keras"
    assert not (tmp_path / ".keras").exists()


def test_settings_that_a_user_has_for_keras_change_no_result(tmp_path: Path) -> None:
    (tmp_path / ".keras").mkdir()
    file = tmp_path / ".keras" / "keras.json"
    file.write_text(json.dumps({"backend": "jax", "floatx": "float16", "image_data_format": "channels_first"}))
    before = file.read_text()
    code = """
from weft_keras.backend import keras_on_torch
config = keras_on_torch().config
print(config.backend(), config.floatx(), config.image_data_format())
"""
    assert python(code, tmp_path) == "torch float32 channels_last"
    assert file.read_text() == before


@pytest.mark.parametrize("backend", ["torch", ""])
def test_an_environment_that_asks_for_torch_or_nothing_is_heard(backend: str, tmp_path: Path) -> None:
    code = "from weft_keras.backend import keras_on_torch as k; import os; k(); print(os.environ['KERAS_BACKEND'])"
    assert python(code, tmp_path, KERAS_BACKEND=backend) == backend


def test_an_environment_that_asks_for_another_backend_is_refused(tmp_path: Path) -> None:
    code = """
from weft_keras.backend import keras_on_torch
try:
    keras_on_torch()
except ValueError as error:
    print(error)
import sys
assert "keras" not in sys.modules
"""
    assert python(code, tmp_path, KERAS_BACKEND="jax") == (
        "KERAS_BACKEND is jax, and weft trains with torch: unset it, or set it to torch"
    )


def test_keras_that_is_there_with_another_backend_is_refused(tmp_path: Path) -> None:
    code = """
import sys, types
sys.modules["keras"] = types.SimpleNamespace(config=types.SimpleNamespace(backend=lambda: "jax"))  # which needn't be installed
from weft_keras.backend import keras_on_torch
try:
    keras_on_torch()
except ValueError as error:
    print(error)
"""
    assert python(code, tmp_path) == (
        "Keras has been imported with the backend jax, and weft trains with torch: "
        "set KERAS_BACKEND=torch before its first import"
    )


def test_keras_that_is_there_with_torch_keeps_its_settings(tmp_path: Path) -> None:
    code = """
import keras
keras.config.set_floatx("float64")
keras.config.set_dtype_policy("mixed_bfloat16")
from weft_keras.models.mlp import mlp
from torch import nn
model = mlp((4,), 2, activation=nn.ReLU, output_activation=nn.Identity)
print(model.output.kernel.dtype, keras.config.floatx(), keras.config.dtype_policy().name, keras.config.image_data_format())
"""
    told = python(code, tmp_path, KERAS_BACKEND="torch", KERAS_HOME=str(tmp_path / "keras"))
    assert told == "torch.float32 float64 mixed_bfloat16 channels_last"
