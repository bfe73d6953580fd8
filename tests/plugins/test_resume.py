"""Every built-in optimizer, regularizer, scheduler and callback: cut in the middle of an epoch and resumed, a run ends as it
would have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.core.test_checkpoint import same
from tests.core.test_resume import Cut, CutAfter, ending
from weft import checkpoint, loop
from weft.catalog import catalog
from weft.compose import configured
from weft.experiment import prepare
from weft.keeping import BestWeights
from weft.randomness import seed_everything
from weft.state import Run


def cases() -> list[list[str]]:
    """Return the overrides of each case."""
    found = []
    for name in catalog().names("optimizer"):
        found += [[*of("optimizer", name)], [*of("optimizer", name), "precision=fp64"]]
    for name in catalog().names("regularizer"):
        plain = ["optimizer=sgd", "scheduler=cosine"] if name == "proximal_l1" else []
        found.append([*of("regularizer", name), *plain])
    for name in catalog().names("scheduler"):
        found.append([f"scheduler={name}", "optimizer=sgd", "optimizer.momentum=0.9"])
    for name in catalog().names("callback"):
        found.append([*of("callback", name)])
    found.append(["regularizer=[dropout,l2,gradient_noise,max_norm]", "scheduler=one_cycle", "model=rnn", "optimizer=lbfgs"])
    return found


def of(kind: str, name: str) -> list[str]:
    """Return the overrides that choose a component, and those that it is to be tried beside."""
    beside = getattr(catalog().load(catalog().find(kind, name)).factory, "beside", {})
    parts = [(other, choice if isinstance(choice, dict) else {"name": choice}) for other, choice in beside.items()]
    chosen = [(other, key, value) for other, choice in parts for key, value in choice.items()]
    return [
        f"{kind}={name}",
        *(f"{other}={value}" if key == "name" else f"{other}.{key}={value}" for other, key, value in chosen),
    ]


def made(overrides: list[str]) -> Run:
    epochs = 10 if any(override.startswith("batch_size=") for override in overrides) else 4  # of one batch, or of four
    wanted, _ = configured([f"epochs={epochs}", "batch_size=400", "threads=1", *overrides])
    run = prepare(wanted, catalog())
    run.listen(BestWeights())
    return run


@pytest.mark.parametrize("overrides", cases(), ids=" ".join)
def test_cut_and_resumed_equals_uncut(overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    whole = made(overrides)
    seed_everything(1)
    loop.fit(whole)
    cut = made(overrides)
    cut.listen(BestWeights(), CutAfter(6, tmp_path / "c"))
    seed_everything(1)
    with pytest.raises(Cut):
        loop.fit(cut)
    resumed = made(overrides)
    resumed.load_state_dict(checkpoint.read(tmp_path / "c"))
    loop.fit(resumed)
    assert resumed.step == whole.step > 6
    for name, run in (("resumed", resumed), ("whole", whole)):
        checkpoint.write(tmp_path / name, ending(run))
    assert same(checkpoint.read(tmp_path / "resumed"), checkpoint.read(tmp_path / "whole"))
