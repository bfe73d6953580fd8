"""The wheel: what is in it, and that it runs without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.integration
def test_the_wheel_runs_by_itself(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("weft-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("weft/py.typed", "weft/conf/config.yaml", "weft/conf/weft.yaml", "weft_basics/__init__.py", "weft/loop.py"):
        assert name in names
    for name in ("weft/templates/LICENSE", "weft/templates/kinds/optimizer.py.template", "weft/testing/suite.py"):
        assert name in names
    assert not [name for name in names if name.startswith(("tests", "runs"))]
    (offered,) = [name for name in names if name.endswith("entry_points.txt")]
    assert "weft+sqlite = weft.telemetry.schemes:tracking_store" in zipfile.ZipFile(wheel).read(offered).decode()
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    code = "from weft import compose; print(compose.own_folder(), compose.configured(['model=cnn'])[0].params()['model'])"
    environment = {**os.environ, "PYTHONPATH": str(site), "WEFT_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [str(site / "weft" / "conf"), "cnn"], done.stderr
