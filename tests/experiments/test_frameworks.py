"""One network, computed by hand in NumPy: the curve that every framework is to follow. The packages weft-keras and
weft-tensorflow hold theirs to weft's."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.special import log_softmax, softmax

from tests.experiments.fitting import Array, fit, split
from weft.callback import Callback
from weft.state import Run

CONF = Path(__file__).parents[2] / "conf" / "experiment" / "frameworks.yaml"


class Watching(Callback):
    """Keeps the weights that a run starts from, and its curve."""

    def on_fit_start(self, run: Run) -> None:
        model: Any = run.model
        layers = [*model.hidden, model.output]
        self.weights = [copy.deepcopy(tensor.detach().numpy()) for layer in layers for tensor in (layer.weight, layer.bias)]
        self.curve: list[float] = []

    def on_epoch_end(self, run: Run) -> None:
        self.curve.append(run.scores["valid/loss"])


def outputs(weights: list[Array], inputs: Array) -> list[Array]:
    """Return what enters each layer, then the network's outputs."""
    units = [inputs]
    for place in range(0, len(weights), 2):
        scores = units[-1] @ weights[place].T + weights[place + 1]
        units.append(scores if place == len(weights) - 2 else np.tanh(scores))
    return units


def gradients(weights: list[Array], inputs: Array, labels: Array) -> list[Array]:
    """Return the gradients of the mean cross entropy, by the chain rule."""
    *units, scores = outputs(weights, inputs)
    back = (softmax(scores, axis=1) - np.eye(scores.shape[1])[labels]) / len(labels)
    found: list[Array] = []
    for place in range(len(weights) - 2, -1, -2):
        entering = units[place // 2]
        found = [back.T @ entering, back.sum(0), *found]
        back = back @ weights[place] * (1 - entering**2)
    return found


def curve(run: Run, weights: list[Array]) -> list[float]:
    """Return the loss on the validation split after each epoch of AdamW (Loshchilov and Hutter 2019, algorithm 2)."""
    told, settings = run.optimizer.param_groups[0], run.configuration.settings
    rate, (beta1, beta2), epsilon, decay = told["lr"], told["betas"], told["eps"], told["weight_decay"]
    means, squares = ([np.zeros_like(weight) for weight in weights] for _ in range(2))
    (inputs, labels), (samples, answers) = split(run, "train"), split(run, "valid")
    step, found = 0, []
    for epoch in range(settings.epochs or 0):
        order = run.data.order(settings.seed, epoch).numpy()
        for first in range(0, len(order), settings.batch_size):
            chosen = order[first : first + settings.batch_size]
            step += 1
            for place, gradient in enumerate(gradients(weights, inputs[chosen], labels[chosen])):
                means[place] = beta1 * means[place] + (1 - beta1) * gradient
                squares[place] = beta2 * squares[place] + (1 - beta2) * gradient**2
                mean, square = means[place] / (1 - beta1**step), squares[place] / (1 - beta2**step)
                weights[place] = (1 - rate * decay) * weights[place] - rate * mean / (np.sqrt(square) + epsilon)
        scores = log_softmax(outputs(weights, samples)[-1], axis=1)
        found.append(float(-scores[np.arange(len(answers)), answers].mean()))
    return found


def test_weft_s_curve_is_the_one_by_hand_and_ends_at_the_reference() -> None:
    watching = Watching()
    run = fit("frameworks", watching=(watching,))
    by_hand = curve(run, watching.weights)
    assert len(by_hand) == 20
    assert watching.curve == pytest.approx(by_hand, rel=1e-9)
    reference = yaml.safe_load(CONF.read_text())["reference"]
    said = float(re.findall(r"0\.\d+", reference["source"])[0])
    assert min(by_hand) == pytest.approx(said, abs=1e-8)
    assert (reference["at_least"], reference["at_most"]) == pytest.approx((said - 1e-6, said + 1e-6), abs=1e-8)
