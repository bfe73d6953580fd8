"""Seeds of a run's purposes, and generators put back."""

from __future__ import annotations

import random

import numpy as np
import torch

from weft.randomness import derived, kept_randomness, seed_everything


def drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_no_two_purposes_of_neighbouring_seeds_share_a_seed() -> None:
    seeds = [derived(seed, purpose) for seed in range(500) for purpose in ("training", "parts")] + list(range(500))
    assert len(set(seeds)) == 1500
    assert derived(0, "training") == derived(0, "training")


def test_a_seed_seeds_every_generator_and_all_are_put_back() -> None:
    seed_everything(3)
    first = drawn()
    with kept_randomness(torch.device("cpu")):
        seed_everything(3)
        assert drawn() == first
        seed_everything(4)
    after = drawn()
    seed_everything(3)
    assert drawn() == first
    assert drawn() == after
