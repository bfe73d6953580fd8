"""Every optimizer trains a model that has weights of all kinds, and goes on from a checkpoint to the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training import Training

from weft import checkpoint
from weft.state import _restore_types
from weft_pytorch_optimizer.names import CANNOT, OPTIMIZERS

SMALLER: dict[str, dict[str, Any]] = {"adammini": {"lr": 1e-3}}
"""Options for what the library's default is too large for: a rate of 1, of steps like Adam's."""
OFTEN: dict[str, dict[str, Any]] = {
    "alice": {"update_interval": 2, "rank": 4, "leading_basis": 2},
    "apollo": {"update_proj_gap": 2, "rank": 4},
    "conda": {"update_proj_gap": 3},
    "dash": {"precondition_frequency": 2},
    "fira": {"update_proj_gap": 3, "rank": 4},
    "galore": {"update_proj_gap": 3, "rank": 4},
    "scalableshampoo": {"start_preconditioning_step": 2, "preconditioning_compute_steps": 3},
    "soap": {"precondition_frequency": 2},
    "spam": {"density": 0.5, "update_proj_gap": 3},
    "splus": {"inverse_steps": 3},
    "stablespam": {"update_proj_gap": 3},
}
"""What some do once in hundreds of steps, done every few."""
CASES = [*((name, {}) for name in OPTIMIZERS), *OFTEN.items()]


def ids(case: Any) -> str | None:
    return case if isinstance(case, str) else "often" if case else "default"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_descends(name: str) -> None:
    training = Training(name, **SMALLER.get(name, {}))
    before = training.loss()
    training.train(60)
    assert training.loss() < before


@pytest.mark.parametrize(
    ("precision", "name", "options"),
    [
        pytest.param(precision, name, options, id=f"{name}-{'often' if options else 'default'}-{precision}")
        for precision in (torch.float32, torch.float64)
        for name, options in CASES
        if precision is torch.float32 or "fp64" not in CANNOT.get(name, {})
    ],
)
def test_it_goes_on_from_a_checkpoint_to_the_same_bits(
    precision: torch.dtype, name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    whole = Training(name, precision, **options)
    whole.train(11)
    checkpoint.write(tmp_path / "checkpoint", whole.state())
    whole.train(11)
    state = checkpoint.read(tmp_path / "checkpoint")
    resumed = Training(name, precision, **options)
    resumed.go_on_from(state, steps=11)
    _restore_types(resumed.optimizer, state["optimizer"])  # as a run does
    resumed.train(11)
    expected = whole.model.state_dict()
    assert [key for key, found in resumed.model.state_dict().items() if not torch.equal(found, expected[key])] == []


@pytest.mark.parametrize(("name", "options"), CASES, ids=ids)
def test_it_leaves_the_process_s_random_numbers_alone(name: str, options: dict[str, Any]) -> None:
    training = Training(name, **options)
    before, numpy = torch.get_rng_state(), np.random.get_state()[1:3]
    training.train(12)
    assert torch.equal(torch.get_rng_state(), before)
    after = np.random.get_state()[1:3]
    assert np.array_equal(after[0], numpy[0])
    assert after[1] == numpy[1]
