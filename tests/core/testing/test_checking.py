"""`weft check`, and the same checks as tests of an author's: from outside, by processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.command import own_process
from tests.conftest import Install
from weft.catalog import catalog
from weft.errors import ConfigError, PluginError
from weft.testing import checking

pytestmark = pytest.mark.integration

LION = '''
    from typing import Annotated

    import torch
    from weft import Range, hookimpl

    class Lion(torch.optim.Optimizer):
        """Steps by the sign of momentum."""

        def __init__(self, params, lr: Annotated[float, Range(1e-5, 0.1, log=True)] = 1e-3):
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.sub_(parameter.grad.sign(), alpha=group["lr"])
            return loss

    @hookimpl
    def register_optimizers(register):
        register(Lion)
'''

WRONG = '''
    import os, time
    import torch
    from weft import hookimpl

    def crashing(input: torch.Tensor):
        """Crashes."""
        os.kill(os.getpid(), 11)

    def hanging(input: torch.Tensor):
        """Hangs."""
        time.sleep(600)

    def leaving(input: torch.Tensor):
        """Leaves."""
        os._exit(0)

    def steep(input: torch.Tensor):
        """Fails."""
        return input.sign() * float("nan")

    @hookimpl
    def register_activations(register):
        for made in (crashing, hanging, leaving, steep):
            register(made)
'''


def weft(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return own_process(*arguments, folder=cwd, check=None, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))


def test_a_plugin_is_checked_and_has_a_card(install: Install, tmp_path: Path) -> None:
    install("weft-lion", "weft_lion", LION, version="0.3", entry="lion")
    done = weft("check", "lion", "--json", "cards.json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "optimizer=lion of weft-lion 0.3" in done.stdout
    assert "descends" in done.stdout
    (card,) = json.loads((tmp_path / "cards.json").read_text())
    assert (card["kind"], card["name"], card["version"], card["conforms"]) == ("optimizer", "lion", "0.3", True)
    assert {outcome["verdict"] for outcome in card["outcomes"]} <= {"passed", "skipped", "cannot"}
    assert card["data"][0] == "vectors"
    assert 0 < card["measures"]["step_of_plain"] < 100


def test_what_crashes_hangs_or_leaves_fails_alone(install: Install, tmp_path: Path) -> None:
    install("weft-wrong", "weft_wrong", WRONG)
    done = weft("check", "weft_wrong", "--json", "cards.json", "--seconds", "20", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    cards = {card["name"]: card for card in json.loads((tmp_path / "cards.json").read_text())}
    assert sorted(cards) == ["crashing", "hanging", "leaving", "steep"]
    ends = {name: card["outcomes"][-1]["detail"] for name, card in cards.items()}
    assert "was ended by SIGSEGV" in ends["crashing"]
    assert "took longer than 20 s" in ends["hanging"]
    assert "ended with exit code 0" in ends["leaving"]
    assert [card["conforms"] for card in cards.values()] == [False] * 4
    assert "activation=steep" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_mistakes_are_one_message(install: Install, tmp_path: Path) -> None:
    install("weft-broken", "weft_broken", "raise RuntimeError('no licence')")
    for arguments, says in {
        ("check", "lino"): "lino: no plugin of that name",
        ("check", "optimizer=admaw"): "no optimizer named 'admaw' (did you mean 'adamw'?)",
        ("check", "optimiser=adamw"): "no kind named 'optimiser' (did you mean 'optimizer'?)",
        ("check", "weft_broken"): "RuntimeError: no licence",
        ("check", "relu", "--json", "nowhere/cards.json"): "there is no folder nowhere",
    }.items():
        done = weft(*arguments, cwd=tmp_path)
        assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr


def test_what_is_meant(install: Install) -> None:
    install("weft-lion", "weft_lion", LION, entry="lion")
    found = catalog()
    for word in ("lion", "weft-lion", "optimizer=lion"):
        assert [str(component.name) for component in checking.find(found, [word])] == ["lion"]
    assert {component.kind for component in checking.find(found, ["step"])} == {"scheduler", "activation"}
    assert len(checking.find(found, ["lion", "optimizer=lion"])) == 1
    assert len(checking.find(found, [])) > 100
    with pytest.raises(ConfigError, match="no plugin of that name"):
        checking.find(found, ["tiger"])
    with pytest.raises(PluginError, match="no optimizer named"):
        checking.find(found, ["optimizer=tiger"])


def test_an_author_s_test_file_of_two_lines(install: Install, tmp_path: Path) -> None:
    install("weft-lion", "weft_lion", LION, entry="lion")
    install("weft-steep", "weft_steep", WRONG.replace("(crashing, hanging, leaving, steep)", "(steep,)"), entry="steep")
    for name in ("lion", "activation=steep"):
        lines = f"from weft.testing import conformance\n\ntest_conformance = conformance({name!r})\n"
        (tmp_path / f"test_{name.rpartition('=')[2]}.py").write_text(textwrap.dedent(lines))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    options = ["-q", "-p", "no:cacheprovider", "-W", "error", "-n", "2"]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path / "test_lion.py"), str(tmp_path / "test_steep.py")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout
    assert "optimizer=lion: " in done.stdout
    assert "activation=steep: " in done.stdout
    assert "test_conformance[optimizer=lion" not in done.stdout, "what passes is not told of"
    assert "FAILED test_steep.py::test_conformance[activation=steep-defaults]" in done.stdout
    assert "activation steep of weft-steep 0.1: shaped: " in done.stdout
    assert "suite.py" not in done.stdout, "no traceback of weft's"
