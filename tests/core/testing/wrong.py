"""Components that are wrong in one way each, by the check that must find it."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from weft import Callback, Range

Inputs = tuple[int, ...]


class Plain(nn.Module):
    """A linear model, right in every way."""

    def __init__(self, inputs: Inputs, outputs: int, vocabulary: int | None):
        super().__init__()
        if vocabulary is not None or len(inputs) != 1:
            raise ValueError("it is for vectors")
        self.output = nn.Linear(inputs[0], outputs)

    def forward(self, inputs: Tensor) -> Any:
        return self.output(inputs)


class Undocumented(Plain):
    def forward(self, inputs: Tensor) -> Any:
        return super().forward(inputs)


class Exploding(Plain):
    """A linear model that is not finite."""

    def forward(self, inputs: Tensor) -> Any:
        return self.output(inputs) / 0.0


class Narrow(Plain):
    """A linear model that refuses what it declares."""

    def __init__(
        self, inputs: Inputs, outputs: int, vocabulary: int | None, scale: Annotated[float, Range(0.1, 10, log=True)] = 1.0
    ):
        super().__init__(inputs, outputs, vocabulary)
        if scale > 5:
            raise ValueError("that is too much")


class Chatty(Plain):
    """A linear model that prints."""

    def __init__(self, inputs: Inputs, outputs: int, vocabulary: int | None):
        super().__init__(inputs, outputs, vocabulary)
        os.write(1, b"made\n")


class Online(Plain):
    """A linear model that looks for its weights."""

    def __init__(self, inputs: Inputs, outputs: int, vocabulary: int | None):
        super().__init__(inputs, outputs, vocabulary)
        with contextlib.suppress(OSError):
            socket.create_connection(("weights.invalid", 80), timeout=1).close()


class Littering(Plain):
    """A linear model that leaves a file behind."""

    def __init__(self, inputs: Inputs, outputs: int, vocabulary: int | None):
        super().__init__(inputs, outputs, vocabulary)
        Path("cache.txt").write_text("")


class Presuming(Plain):
    """A linear model that sets a variable of the environment."""

    def forward(self, inputs: Tensor) -> Any:
        os.environ["PRESUMED"] = str(random.random())
        return super().forward(inputs)


class Scribbling(Plain):
    """A linear model that changes its inputs."""

    def forward(self, inputs: Tensor) -> Any:
        return super().forward(inputs.add_(1))


class Unseeded(Plain):
    """A linear model that draws its weights from a generator of its own."""

    def __init__(self, inputs: Inputs, outputs: int, vocabulary: int | None):
        super().__init__(inputs, outputs, vocabulary)
        drawn = np.random.default_rng().normal(size=tuple(self.output.weight.shape))
        self.output.weight.data = torch.tensor(drawn, dtype=torch.float32)


class Forgetful(Callback):
    """Halves the weights at its third step, which it counts for itself."""

    def __init__(self) -> None:
        self.steps = 0

    def on_step_end(self, run: Any) -> None:
        self.steps += 1
        if self.steps == 3:
            with torch.no_grad():
                for parameter in run.model.parameters():
                    parameter.mul_(0.5)


class Misjudging(Plain):
    """A linear model that says it can't what there is no check for."""

    cannot = {"flying": "it has no wings"}


class AlwaysDropping(Plain):
    """A linear model whose dropout doesn't know of evaluation."""

    def forward(self, inputs: Tensor) -> Any:
        return self.output(functional.dropout(inputs, 0.5, training=True))


class Mixing(Plain):
    """A linear model that compares the samples of a batch in evaluation, too."""

    def forward(self, inputs: Tensor) -> Any:
        return self.output(inputs - inputs.mean(0))


class Idle(Plain):
    """A linear model with a parameter that nothing uses."""

    def __init__(self, inputs: Inputs, outputs: int, vocabulary: int | None):
        super().__init__(inputs, outputs, vocabulary)
        self.unused = nn.Parameter(torch.zeros(3))


class Half(torch.autograd.Function):
    """x², with half its derivative."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        context.save_for_backward(values)
        return values**2

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient * context.saved_tensors[0]


class HalfTaught(Plain):
    """A linear model with half its gradient."""

    def forward(self, inputs: Tensor) -> Any:
        return Half.apply(super().forward(inputs))


class LeftBehind(Plain):
    """A linear model with a tensor that isn't a buffer."""

    def __init__(self, inputs: Inputs, outputs: int, vocabulary: int | None):
        super().__init__(inputs, outputs, vocabulary)
        self.scale = torch.ones(outputs)

    def forward(self, inputs: Tensor) -> Any:
        return super().forward(inputs) * self.scale


class Unsaved(Plain):
    """A linear model with a number that isn't part of its state."""

    def forward(self, inputs: Tensor) -> Any:
        self.seen = getattr(self, "seen", 0) + self.training
        return super().forward(inputs) * (1 + self.seen)


class Branching(Plain):
    """A linear model that looks at its numbers, and so neither runs under vmap nor compiles whole."""

    def forward(self, inputs: Tensor) -> Any:
        outputs = super().forward(inputs)
        return outputs if float(self.output.weight.sum()) > 0 else outputs * 1.0


def no_scalar(outputs: Tensor, targets: Tensor) -> Tensor:
    """A cross entropy that draws a sample."""
    return functional.cross_entropy(outputs, targets) + 0 * torch.rand(())


no_scalar.tasks = ("classification",)  # type: ignore[attr-defined]


def half_taught(outputs: Tensor, targets: Tensor) -> Any:
    """A squared error with half its gradient."""
    return Half.apply(outputs - targets).mean()


half_taught.tasks = ("regression",)  # type: ignore[attr-defined]


def summed(outputs: Tensor, targets: Tensor) -> Tensor:
    """A squared error that grows with the batch."""
    return ((outputs - targets) ** 2).sum()


summed.tasks = ("regression",)  # type: ignore[attr-defined]


def overflowing(outputs: Tensor, targets: Tensor) -> Tensor:
    """A cross entropy by the book, exponents and all."""
    shares = outputs.exp() / outputs.exp().sum(1, keepdim=True)
    return -shares.gather(1, targets.unsqueeze(1)).log().mean()


overflowing.tasks = ("classification",)  # type: ignore[attr-defined]


def branching(outputs: Tensor, targets: Tensor) -> Tensor:
    """A squared error that looks at its numbers."""
    found = ((outputs - targets) ** 2).mean()
    return found if float(found) > 1 else found * 1.0


branching.tasks = ("regression",)  # type: ignore[attr-defined]


class Descent(torch.optim.Optimizer):
    """Gradient descent, right in every way."""

    def __init__(self, params: Any, lr: float = 0.1):
        super().__init__(params, {"lr": lr})

    def change(self, parameter: Tensor, lr: float) -> None:
        parameter.sub_(parameter.grad, alpha=lr)  # type: ignore[arg-type]

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Any:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.change(parameter, group["lr"])
        return loss


class Ascent(Descent):
    """Gradient ascent."""

    def change(self, parameter: Tensor, lr: float) -> None:
        parameter.add_(parameter.grad, alpha=lr)  # type: ignore[arg-type]


class Silent(Descent):
    """Gradient descent that doesn't say what the loss was."""

    def step(self, closure: Callable[[], Tensor] | None = None) -> Any:  # type: ignore[override]
        super().step(closure)


class Hoarding(Descent):
    """Gradient descent that keeps its gradients."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        pass


class Decaying(Descent):
    """Gradient descent that also changes what has no gradient."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Any:  # type: ignore[override]
        loss = super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.mul_(1 - group["lr"] * 0.01)
        return loss


class Halving(Descent):
    """Gradient descent with half the learning rate."""

    def __init__(self, params: Any, lr: float = 0.1):
        super().__init__(params, lr / 2)


class Stubborn(Descent):
    """Gradient descent with a learning rate of its own."""

    def change(self, parameter: Tensor, lr: float) -> None:
        parameter.sub_(parameter.grad, alpha=0.1)  # type: ignore[arg-type]


class Drawing(Descent):
    """Gradient descent that shakes the weights."""

    def change(self, parameter: Tensor, lr: float) -> None:
        super().change(parameter, lr)
        parameter.add_(torch.randn_like(parameter), alpha=1e-4 * lr)


class HalfPenalty:
    """A penalty of squares with half its gradient."""

    def penalty(self, model: nn.Module, outputs: Tensor) -> Any:
        return sum(Half.apply(parameter).sum() for parameter in model.parameters())


class BranchingPenalty:
    """A penalty of squares that looks at its numbers."""

    def penalty(self, model: nn.Module, outputs: Tensor) -> Any:
        found = sum((parameter**2).sum() for parameter in model.parameters())
        return found if float(found) > 1 else found * 1.0


class Overwriting:
    """Noise on the inputs, in their place."""

    def batch(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs.add_(0.1), targets


class Replacing:
    """Weights that are other tensors afterwards."""

    def weights(self, model: nn.Module) -> None:
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()


class Negative:
    """A learning rate below zero, after a while."""

    def __init__(self, optimizer: Any):
        self.optimizer = optimizer
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] -= 0.001 * self.steps

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]


class Shared(Negative):
    """A learning rate that all of its kind have a share in."""

    count = 0

    def step(self) -> None:
        type(self).count += 1
        for group in self.optimizer.param_groups:
            group["lr"] = 0.01 / type(self).count


class Measure:
    """The mean of the outputs, right in every way."""

    higher_is_better: Any = None

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.total, self.samples = 0.0, 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        self.total += float(outputs.sum())
        self.samples += len(outputs)

    def compute(self) -> float:
        return self.total / self.samples


class Endless(Measure):
    """A metric that is not finite."""

    def compute(self) -> float:
        return float("inf")


class LastBatch(Measure):
    """A metric of the last batch only."""

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        self.reset()
        super().update(outputs, targets)


class Remembering(Measure):
    """A metric that doesn't forget."""

    def reset(self) -> None:
        if not hasattr(self, "total"):
            super().reset()


class Undirected(Measure):
    """A metric that is better when it is higher, it says, in a way."""

    higher_is_better = "yes"


class Points:
    """Two clouds of points, right in every way."""

    task, inputs, outputs = "classification", (2,), 2

    def __init__(self, split_seed: int):
        generator = torch.Generator().manual_seed(split_seed)
        for split in ("train", "valid", "test"):
            setattr(self, split, self.pair(torch.randn(40, 2, generator=generator), torch.arange(40) % 2))

    def pair(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, labels


class Misshapen(Points):
    """Points that aren't of the shape it says."""

    inputs = (3,)


class Mislabelled(Points):
    """Points with labels that are no classes."""

    def pair(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, labels + 1


class Moving(Points):
    """Points that are others each time."""

    def __init__(self, split_seed: int):
        super().__init__(torch.randint(1000, ()).item())


class Leaking(Points):
    """Points that are tested on what was trained on."""

    def __init__(self, split_seed: int):
        super().__init__(split_seed)
        self.test = self.train  # type: ignore[attr-defined]


class Restarting(Points):
    """Points that move as a run goes on, and begin anew when it is gone on with."""

    moved = 0

    def batches(self, run: Any, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        inputs, labels = self.valid  # type: ignore[attr-defined]
        while split == "train":
            self.moved += 1
            yield run.device.place(inputs + self.moved), labels
        yield run.device.place(inputs), labels


class Recounting(Points):
    """Points that move as an epoch goes on, by a counter that is in no state."""

    def batches(self, run: Any, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        inputs, labels = self.valid  # type: ignore[attr-defined]
        for moved in count() if split == "train" else [0]:
            yield run.device.place(inputs + moved), labels


class Enlarged(Points):
    """Points that have a number more as a run goes on."""

    def batches(self, run: Any, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        inputs, labels = self.valid  # type: ignore[attr-defined]
        while True:
            yield torch.cat([inputs, inputs[:, :1]], 1), labels


class Unplaced(Points):
    """Points that come as they were made, wherever the run is."""

    def batches(self, run: Any, split: str) -> Iterator[tuple[Tensor, Tensor]]:
        inputs, labels = self.valid  # type: ignore[attr-defined]
        while True:
            yield inputs, labels
            if split != "train":
                break


def flattened(input: Tensor) -> Tensor:
    """An activation of another shape."""
    return input.sigmoid().flatten()


def half_square(input: Tensor) -> Any:
    """A square with half its gradient."""
    return Half.apply(input)


def branching_activation(input: Tensor) -> Tensor:
    """An activation that looks at its numbers."""
    return input.sigmoid() if float(input.sum()) > 0 else input.sigmoid() * 1.0


class Task:
    """A task, right in every way."""

    loss, metrics, objective = "mse", (), "valid/loss"

    def check(self, outputs: int, targets: Tensor) -> None:
        if targets.ndim != 2 or not targets.is_floating_point():
            raise ValueError("targets are numbers, (N, K)")


class Unprovided(Task):
    """A task with a loss that nobody offers."""

    loss = "regret"


class Indifferent(Task):
    """A task that takes any targets."""

    def check(self, outputs: int, targets: Tensor) -> None:
        pass


class Deaf(Callback):
    """A callback that ends the run with an error."""

    def on_epoch_end(self, run: Any) -> None:
        raise RuntimeError("it has seen enough")


class OnlyFloat32(Plain):
    """A linear model of single precision, whatever is asked for."""

    def forward(self, inputs: Tensor) -> Any:
        return functional.linear(inputs, self.output.weight.float(), self.output.bias.float())


class OnlyFull(Plain):
    """A linear model that has its reasons against half precision."""

    def forward(self, inputs: Tensor) -> Any:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("not in half precision")
        return super().forward(inputs)


class OffTheCpu(Plain):
    """A linear model that is another one elsewhere."""

    def forward(self, inputs: Tensor) -> Any:
        found = super().forward(inputs)
        return found if inputs.device.type == "cpu" else found + 100 * torch.rand_like(found)


Case = tuple[str, str, Any, str]
"""A kind, the check that must find it, the factory, and what it is to say."""

FAILING: list[Case] = [
    ("model", "documented", Undocumented, "no docstring"),
    ("model", "meant_for_it", Misjudging, "there is no such check"),
    ("model", "defaults", Exploding, "became nan at step 1"),
    ("model", "ranges", Narrow, "is in its range, and refused"),
    ("model", "considerate", Chatty, "prints 'made'"),
    ("model", "considerate", Online, "asks the network: weights.invalid"),
    ("model", "considerate", Littering, "writes to the current folder: cache.txt"),
    ("model", "considerate", Presuming, "changes the environment: PRESUMED"),
    ("model", "untouched", Scribbling, "inputs of train have been changed"),
    ("model", "repeatable", Unseeded, "differs in output.bias, output.weight"),
    ("callback", "resumes", Forgetful, "these differ: "),
    ("model", "modes", AlwaysDropping, "two answers"),
    ("model", "apart", Mixing, "answers differ"),
    ("model", "taught", Idle, "unused: no gradient reaches it"),
    ("model", "gradients", HalfTaught, "not those of what it computes"),
    ("model", "placed", LeftBehind, "scale is a plain tensor"),
    ("model", "kept", Unsaved, "gives other answers"),
    ("loss", "scalar", no_scalar, "draws random numbers"),
    ("loss", "gradients", half_taught, "not those of what it computes"),
    ("loss", "mean", summed, "as the mean of its pieces"),
    ("loss", "extremes", overflowing, "for large outputs it is nan"),
    ("optimizer", "descends", Ascent, "training loss was"),
    ("optimizer", "answers", Silent, "returned None"),
    ("optimizer", "zeroes", Hoarding, "has a gradient"),
    ("optimizer", "passes_over", Decaying, "has no gradient, and was changed"),
    ("optimizer", "obeys", Halving, "it was given lr=0.1, and its parameter groups say [0.05]"),
    ("optimizer", "sober", Drawing, "draws random numbers"),
    ("regularizer", "penalty", HalfPenalty, "not those of what it computes"),
    ("regularizer", "batch", Overwriting, "in its place"),
    ("regularizer", "in_place", Replacing, "is another tensor afterwards"),
    ("scheduler", "steps", Negative, "the learning rate is -"),
    ("scheduler", "independent", Shared, "a second one has the learning rate"),
    ("metric", "measures", Endless, "it is inf"),
    ("metric", "pieces", LastBatch, "in two batches"),
    ("metric", "resets", Remembering, "after others and reset()"),
    ("metric", "directed", Undirected, "higher_is_better is 'yes'"),
    ("dataset", "told", Misshapen, "has samples of shape [2]"),
    ("dataset", "targets", Mislabelled, "label 2"),
    ("dataset", "seeded", Moving, "gives other samples"),
    ("dataset", "separate", Leaking, "are in train as well"),
    ("dataset", "made", Restarting, "after going on from a checkpoint these differ"),
    ("dataset", "made", Recounting, "after going on from a checkpoint these differ"),
    (
        "dataset",
        "made",
        Enlarged,
        "inputs of a batch of train are torch.float32 [3] on cpu, those of the split torch.float32 [2] on",
    ),
    (
        "dataset",
        "made",
        Unplaced,
        "are torch.float32 [2] on cpu, those of the split torch.float64 [2] on cpu: run.device.place(tensor)",
    ),
    ("activation", "shaped", flattened, "it makes torch.float32 [42]"),
    ("activation", "gradients", half_square, "not those of what it computes"),
    ("task", "provided", Unprovided, "regret"),
    ("task", "refuses", Indifferent, "it takes targets of"),
    ("callback", "listens", Deaf, "it has seen enough"),
]

LACKING: list[Case] = [
    ("model", "vmap", Branching, ""),
    ("model", "compiles", Branching, ""),
    ("model", "fp64", OnlyFloat32, "dtype"),
    ("model", "bf16", OnlyFull, "not in half precision"),
    ("model", "fp16", OnlyFull, "not in half precision"),
    ("optimizer", "scheduled", Stubborn, "with a learning rate of 0 it changes"),
    ("loss", "vmap", branching, ""),
    ("loss", "compiles", branching, ""),
    ("regularizer", "vmap", BranchingPenalty, ""),
    ("activation", "vmap", branching_activation, ""),
    ("activation", "compiles", branching_activation, ""),
]

RIGHT: list[tuple[str, Any]] = [
    *(("model", Plain), ("optimizer", Descent), ("metric", Measure), ("dataset", Points), ("task", Task)),
]
