"""The README's plugin, installed and run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import Plugin, Weft

README = Path(__file__).parent.parent / "README.md"


def test_the_plugin_of_the_readme_trains_is_loaded_and_conforms(plugin: Plugin, weft_command: Weft, here: Path) -> None:
    (source,) = re.findall(r"```python\n# weft_maxout.py\n(.*?)```", README.read_text(), re.DOTALL)
    plugin("weft_maxout", source)
    weft_command("run", "model=maxout", "model.pieces=3", "epochs=3", "optimizer.lr=0.01", "hydra.run.dir=run")
    told = weft_command("evaluate", "run")
    assert "test/accuracy" in told.stdout + told.stderr
    card = weft_command("check", "maxout")
    assert "fails" not in card.stdout
