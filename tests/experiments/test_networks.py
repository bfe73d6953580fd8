"""Networks on digits, and what dropout and the others do about learning by heart, over five seeds."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ttest_rel

from tests.experiments.fitting import fit, scores

SEEDS = range(5)


def accuracies(name: str) -> list[float]:
    return [scores(fit(name, f"seed={seed}"), "test")["test/accuracy"] for seed in SEEDS]


def test_an_mlp_reads_digits() -> None:
    found = accuracies("mlp")
    assert np.mean(found) >= 0.97, found


@pytest.mark.accept
def test_a_cnn_reads_digits_better() -> None:
    found = accuracies("cnn")
    assert np.mean(found) >= 0.985, found


@cache
def losses(regularizer: str) -> NDArray[np.float64]:
    """Return the loss on samples that weren't trained on, and on those that were, with each seed (seeds, 2)."""
    found = []
    for seed in SEEDS:
        run = fit("dropout", f"seed={seed}", *regularizer.split())
        found.append([scores(run, "test")["test/loss"], scores(run, "train")["train/loss"]])
    return np.array(found)


SHRINKING = [
    "regularizer=dropout",
    "regularizer=l2 regularizer.l2.weight=3e-3",
    "regularizer=l1 regularizer.l1.weight=5e-4",
    "regularizer=elastic_net regularizer.elastic_net.weight=1e-3",
    "regularizer=max_norm regularizer.max_norm.limit=0.7",
    "regularizer=label_smoothing",
    "regularizer=gradient_noise",
    "regularizer=[dropout,l2] regularizer.l2.weight=1e-3",
]


@pytest.mark.parametrize(
    "regularizer", [SHRINKING[0], *(pytest.param(other, marks=pytest.mark.accept) for other in SHRINKING[1:])]
)
def test_the_overfit_gap_shrinks(regularizer: str) -> None:
    """Paired by seed; one-sided, at one per cent. And not for having learned nothing: what is new is understood better."""
    without, with_it = losses("regularizer=none"), losses(regularizer)
    gaps = [test - train for test, train in (without.T, with_it.T)]
    assert ttest_rel(*gaps, alternative="greater").pvalue < 0.01
    assert gaps[1].mean() < gaps[0].mean() / 2
    assert with_it[:, 0].mean() < without[:, 0].mean()


@pytest.mark.accept
def test_a_small_cnn_understands_spoken_digits() -> None:
    """Of speakers who are in all splits: with three of them, one that was never heard is another matter."""
    recordings = Path(__file__).parents[3] / "shared" / "data" / "spoken-digits"
    if not recordings.is_dir():
        pytest.skip(f"there is no {recordings.name} beside the project")
    pattern = "dataset.pattern='{label}_{group}_{index}.wav'"
    run = fit("speech", "dataset=sound_folder", f"dataset.path={recordings}", pattern)
    assert scores(run, "test")["test/accuracy"] >= 0.9
