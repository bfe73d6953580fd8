"""A training step of a Keras model in weft's loop, against one of Keras's own fit on torch.

    python tests/benchmark.py [ROUNDS]

Each round trains every contender once, one after the other in one process, on digits with batches of 64, Adam and one thread.
A step's time is that of the whole training over the number of steps, evaluation aside. weft records what it records by
default, MLflow and all; Keras's fit records the loss. The same model in torch's layers stands beside them.
"""

from __future__ import annotations

import logging
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from weft import destination, loop
from weft.catalog import catalog
from weft.compose import configured
from weft.execution import execute
from weft.experiment import prepare
from weft.folder import Folder
from weft.state import Run
from weft_keras.backend import settings_of_a_model

BATCH = 64
EPOCHS = {"mlp": 40, "cnn": 10, "rnn": 4}
TARGET = 0.5


def with_weft(model: str, epochs: int, scratch: Path, number: int) -> float:
    """Execute a run as `weft run` does; return seconds a step."""
    wanted, _ = configured(
        [
            f"model={model}",
            "optimizer=adam",
            f"epochs={epochs}",
            f"batch_size={BATCH}",
            "threads=1",
            f"runs={scratch}",
            f"tracking.uri=sqlite:///{scratch}/mlflow.db",
        ]
    )
    run = prepare(wanted, catalog())
    spent = {"fit": 0.0, "evaluate": 0.0}
    fit, evaluate = loop.fit, loop.evaluate

    def timed_evaluate(run: Run, split: str) -> dict[str, float]:
        start = time.perf_counter()
        scores = evaluate(run, split)
        spent["evaluate"] += time.perf_counter() - start
        return scores

    def timed_fit(run: Run) -> None:
        start, before = time.perf_counter(), spent["evaluate"]
        fit(run)
        spent["fit"] = time.perf_counter() - start - (spent["evaluate"] - before)

    loop.fit, loop.evaluate = timed_fit, timed_evaluate  # type: ignore[assignment]
    try:
        folder = Folder(scratch / f"{model}-{number}")
        result = execute(run, folder, destination.tracker(run.configuration.settings, folder))
    finally:
        loop.fit, loop.evaluate = fit, evaluate
    if result.error:
        raise result.error
    return spent["fit"] / run.step


def with_keras(model: str, epochs: int) -> float:
    """Train the model by Keras's fit; return seconds a step."""
    wanted, _ = configured(["optimizer=adam"])
    inputs, targets = (half.numpy() for half in prepare(wanted, catalog()).data.splits["train"])
    with settings_of_a_model() as keras:
        net = _NETS[model](keras)
        net.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        start = time.perf_counter()
        net.fit(inputs, targets, batch_size=BATCH, epochs=epochs, verbose=0)
        return (time.perf_counter() - start) / (epochs * math.ceil(len(inputs) / BATCH))


def _mlp(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((1, 8, 8)), layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(10)])


def _cnn(keras: Any) -> Any:
    layers = keras.layers
    found = [keras.Input((1, 8, 8))]
    for channels in (16, 32):
        found += [layers.Conv2D(channels, 3, padding="same", activation="relu"), layers.MaxPooling2D(2)]
    return keras.Sequential([*found, layers.Flatten(), layers.Dense(10)])


def _rnn(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((1, 8, 8)), layers.Reshape((8, 8)), layers.LSTM(64), layers.Dense(10)])


_NETS: dict[str, Callable[[Any], Any]] = {"mlp": _mlp, "cnn": _cnn, "rnn": _rnn}


def measure(model: str, rounds: int) -> None:
    """Measure a model, and print medians and the medians of the rounds' ratios."""
    times: dict[str, list[float]] = {"weft": [], "fit": [], "torch": []}
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
        for number in range(rounds + 1):
            epochs = EPOCHS[model]
            seconds = {
                "weft": with_weft(f"keras_{model}", epochs, Path(folder), number),
                "fit": with_keras(model, epochs),
                "torch": with_weft(model, epochs, Path(folder), number),
            }
            for contender, spent in seconds.items():
                if number:  # the first round warms up
                    times[contender].append(spent)
    medians = {contender: statistics.median(spent) * 1e6 for contender, spent in times.items()}
    ratios = [here / there for here, there in zip(times["weft"], times["fit"], strict=True)]
    to_torch = [here / there for here, there in zip(times["weft"], times["torch"], strict=True)]
    print(
        f"{model}: keras_{model} in weft {medians['weft']:.0f} µs a step, Keras's fit {medians['fit']:.0f}, "
        f"{model} in weft {medians['torch']:.0f}; weft / fit {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}, target {TARGET}); keras_{model} / {model} {statistics.median(to_torch):.2f}"
    )


if __name__ == "__main__":
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    models = [argument for argument in sys.argv[1:] if argument in EPOCHS] or [*EPOCHS]
    for chosen in models:
        measure(chosen, next((int(argument) for argument in sys.argv[1:] if argument.isdigit()), 5))
