"""The plugin in the README: it is one, and it trains."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import weft
from weft_keras import KerasModel

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_model_of_the_readme_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (source,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    found: dict[str, object] = {"__name__": "wide_of_the_readme"}
    exec(compile(source, "README.md", "exec"), found)
    weft.register("model", found["wide"])
    done = weft.run("model=wide", "model.width=32", "epochs=8", "observe.system=null")
    assert isinstance(done.model, KerasModel)
    assert [name for name, _ in done.model.named_parameters()] == [
        f"{layer}.{part}" for layer in ("dense", "dense_1") for part in ("kernel", "bias")
    ]
    assert done.scores["test/accuracy"] > 0.8
