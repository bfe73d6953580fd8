"""Every optimizer in a run of weft's, with all that a run does to it at once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from training import NEEDED

from weft import configuration
from weft.catalog import catalog
from weft.errors import UserError
from weft.experiment import prepare
from weft.state import Run
from weft.testing.subject import train
from weft_pytorch_optimizer.names import OPTIMIZERS

WITHOUT_A_RATE = {"a2grad", "alig"}


def run(name: str, **settings: Any) -> Run:
    tree = {
        "dataset": "iris",
        "model": {"name": "mlp", "width": 8},
        "optimizer": {"name": name, **NEEDED.get(name, {})},
        "batch_size": 16,
        "steps": 20,
        "threads": 1,
        "device": "cpu",
        "observe": {"gradients": False, "histograms": None, "system": None},
        **settings,
    }
    return prepare(configuration.read(tree, catalog()), catalog())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_takes_autocast_accumulation_clipping_a_penalty_and_a_scheduler(name: str) -> None:
    scheduler = {} if name in WITHOUT_A_RATE else {"scheduler": "cosine"}
    made = run(name, precision="bf16", accumulate=4, callback={"clip_norm": "clip_norm"}, regularizer={"l2": "l2"}, **scheduler)
    first = [group.get("lr") for group in made.optimizer.param_groups]
    before = [weight.detach().clone() for weight in made.model.parameters()]
    train(made, 15)  # adashift waits for ten
    assert all(weight.isfinite().all() for weight in made.model.parameters())
    assert name == "sara" or not all(map(torch.equal, before, made.model.parameters()))
    if scheduler:
        assert all(group["lr"] < rate for group, rate in zip(made.optimizer.param_groups, first, strict=True))


@pytest.mark.parametrize("name", sorted(WITHOUT_A_RATE))
def test_a_scheduler_of_what_has_no_rate_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="scheduler"):
        run(name, scheduler="cosine")
