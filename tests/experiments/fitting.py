"""An experiment fitted without a record of it, and what it is compared with: what it came to, and what simpler models do."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.plugins.baselines import majority_accuracy, trigram_bits
from weft import loop
from weft.callback import Callback
from weft.catalog import catalog
from weft.compose import configured
from weft.data import Data
from weft.experiment import prepare
from weft.keeping import BestWeights
from weft.randomness import derived, kept_randomness, seed_everything
from weft.state import Run

Array = NDArray[Any]


def fit(name: str, *overrides: str, watching: tuple[Callback, ...] = ()) -> Run:
    """Return the run with the weights that `weft run +experiment=NAME OVERRIDES…` tests: its best epoch's or its last."""
    wanted, _ = configured([f"+experiment={name}", *overrides, "observe.gradients=false"])
    run = prepare(wanted, catalog())
    with run.device.session(), kept_randomness(run.device.device):
        seed_everything(derived(wanted.settings.seed, "training"))
        run.listen(BestWeights(), *watching)
        loop.fit(run)
        if wanted.settings.test_weights == "best":
            run.model.load_state_dict(run.best.weights)
    return run


@cache
def fitted(name: str, *overrides: str) -> Run:
    """As `fit`, once for all tests that ask for it."""
    return fit(name, *overrides)


def split(run: Run, name: str) -> tuple[Array, Array]:
    """Return a split as scikit-learn takes it: samples (N, features), targets (N,)."""
    inputs, targets = run.data.splits[name]
    return inputs.flatten(1).numpy(), targets.flatten().numpy()


def scores(run: Run, name: str) -> dict[str, float]:
    """Return the scores on a split."""
    with run.device.session():
        return loop.evaluate(run, name)


def by_the_majority(data: Data) -> float:
    """Return the test accuracy of each token's most frequent label."""
    return majority_accuracy(SimpleNamespace(**data.splits, vocabulary=data.vocabulary, outputs=data.outputs))


def by_trigrams(data: Data) -> float:
    """Return the bits a token of a trigram model, on the test split."""
    assert data.vocabulary is not None
    return trigram_bits(data.splits["train"], data.splits["test"], data.vocabulary)


def linear(run: Run) -> tuple[Array, Array]:
    """Return the weights (outputs, inputs) and biases (outputs,) of a model's last layer."""
    layer: Any = run.model.output
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def relative(found: Array, expected: Array) -> float:
    """Return the largest difference of a coefficient, over the largest coefficient."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())
