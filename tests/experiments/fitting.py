"""An experiment fitted without a record of it: what is compared is what it came to."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft import loop
from weft.callback import Callback
from weft.catalog import catalog
from weft.compose import configured
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


def linear(run: Run) -> tuple[Array, Array]:
    """Return the weights (outputs, inputs) and biases (outputs,) of a model's last layer."""
    layer: Any = run.model.output
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def relative(found: Array, expected: Array) -> float:
    """Return the largest difference of a coefficient, over the largest coefficient."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())
