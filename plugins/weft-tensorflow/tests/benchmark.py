"""A step of training: tensorflow_mlp in weft, held against a plain step of TensorFlow's, and against weft's own mlp.

    python tests/benchmark.py [THREADS]

Each is the same model on the same batches with the same optimizer, Adam. They take turns in one process, and each ratio is the
median of many turns. The plain step is one tf.function: outputs, loss, gradients by a tape, and Adam written out.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

import weft
from weft import configuration
from weft.catalog import catalog
from weft.experiment import prepare
from weft.randomness import seed_everything
from weft.state import Run
from weft.testing.subject import train
from weft_tensorflow.starting import tensorflow

TURNS = 15
SIZES = {
    "64-128-10, batch 64": ({"size": 64, "width": 128, "depth": 1, "batch": 64}, 60),
    "784-256-256-10, batch 128": ({"size": 784, "width": 256, "depth": 2, "batch": 128}, 20),
    "784-1024-1024-10, batch 256": ({"size": 784, "width": 1024, "depth": 2, "batch": 256}, 4),
}
"""What is trained, and for how many steps a turn."""


class Noise:
    """Random numbers of ten classes."""

    task = "classification"
    outputs = 10

    def __init__(self, split_seed: int, size: int = 64, samples: int = 2560):
        draw = torch.Generator().manual_seed(split_seed)
        self.inputs = (size,)
        self.train = torch.randn(samples, size, generator=draw), torch.arange(samples) % 10
        self.valid = self.test = tuple(half[:100] for half in self.train)


def run_of(model: str, size: int, width: int, depth: int, batch: int, threads: int) -> Run:
    """Prepare a run that never ends."""
    tree = {
        "dataset": {"name": "noise", "size": size},
        "model": {"name": model, "width": width, "depth": depth},
        "optimizer": {"name": "adam", "lr": 1e-4},
        "batch_size": batch,
        "steps": 10**9,
        "threads": threads,
        "device": "cpu",
        "observe": {"system": None},
    }
    run = prepare(configuration.read(tree, catalog()), catalog())
    seed_everything(0)
    return run


def in_weft(model: str, threads: int, **sizes: int) -> Callable[[int], None]:
    run = run_of(model, threads=threads, **sizes)
    return lambda steps: train(run, steps)


def plain(model: Any, dataset: Noise, batch: int) -> Callable[[int], None]:
    """Return steps of TensorFlow's own on the same network, from the same weights."""
    tf = tensorflow()
    from weft_tensorflow.networks import Perceptron

    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    hidden = [name for name in weights if name.startswith("hidden") and name.endswith("weight")]
    widths = [weights[hidden[0]].shape[1], *(weights[name].shape[0] for name in hidden), 10]
    network = Perceptron(widths, [tf.nn.relu] * len(hidden), tf.identity)
    variables = network.trainable_variables
    for variable, name in zip(variables, sorted(weights), strict=True):
        variable.assign(weights[name])
    means = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
    squares = [tf.Variable(tf.zeros_like(variable)) for variable in variables]
    count = tf.Variable(0.0)
    inputs, targets = (tf.constant(half.numpy()) for half in dataset.train)

    @tf.function
    def step(indices: Any) -> Any:
        with tf.GradientTape() as tape:
            scores = network(tf.gather(inputs, indices))
            answers = tf.gather(targets, indices)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(answers, scores))
        count.assign_add(1)
        for variable, gradient, mean, square in zip(variables, tape.gradient(loss, variables), means, squares, strict=True):
            mean.assign_add(0.1 * (gradient - mean))
            square.assign_add(0.001 * (tf.square(gradient) - square))
            size = tf.sqrt(square / (1 - 0.999**count)) + 1e-8
            variable.assign_sub(1e-4 * mean / (1 - 0.9**count) / size)
        return loss

    order = iter(())

    def steps(wanted: int) -> None:
        nonlocal order
        for _ in range(wanted):
            indices = next(order, None)
            if indices is None:
                order = iter(tf.split(tf.random.shuffle(tf.range(len(targets))), len(targets) // batch))
                indices = next(order)
            step(indices)

    return steps


def measure(threads: int) -> None:
    torch.set_num_threads(threads)
    weft.register("dataset", Noise)
    for name, (sizes, steps) in SIZES.items():
        run = run_of("tensorflow_mlp", threads=threads, **sizes)
        dataset = Noise(0, sizes["size"])
        contenders = {
            "tensorflow_mlp": lambda steps, run=run: train(run, steps),
            "plain": plain(run.model, dataset, sizes["batch"]),
            "mlp": in_weft("mlp", threads, **sizes),
        }
        for work in contenders.values():
            work(steps)
        seconds: dict[str, list[float]] = {contender: [] for contender in contenders}
        for _ in range(TURNS):
            for contender, work in contenders.items():
                start = time.perf_counter()
                work(steps)
                seconds[contender].append((time.perf_counter() - start) / steps)
        ours = seconds["tensorflow_mlp"]
        shown = "  ".join(f"{contender} {statistics.median(times) * 1e3:.3f} ms" for contender, times in seconds.items())
        ratios = {
            other: statistics.median(here / there for here, there in zip(ours, seconds[other], strict=True))
            for other in ("plain", "mlp")
        }
        print(f"{name}: {shown}; tensorflow_mlp is {ratios['plain']:.2f} of plain, {ratios['mlp']:.2f} of mlp", flush=True)


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
