"""Small parts, registered for a test's process: the core is tested without the built-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor, nn

from weft import Choice, Range


class Blobs:
    """Three clouds of points in four dimensions."""

    task = "sorting"
    inputs = (4,)
    outputs = 3

    def __init__(self, split_seed: int, samples: Annotated[int, Range(30, 1000)] = 150):
        draw = torch.Generator().manual_seed(split_seed)
        targets = torch.arange(samples) % 3
        inputs = torch.randn(samples, 4, generator=draw) + 2.0 * nn.functional.one_hot(targets, 4)
        parts = [samples * 6 // 10, samples * 2 // 10, samples - samples * 6 // 10 - samples * 2 // 10]
        self.train, self.valid, self.test = zip(inputs.split(parts), targets.split(parts), strict=True)


class Sorting:
    """The toys' task."""

    loss = "entropy"
    metrics = ("hits",)
    objective = "valid/loss"

    def check(self, outputs: int, targets: Tensor) -> None:
        if int(targets.max()) >= outputs:
            raise ValueError(f"label {int(targets.max())} is none of 0 to {outputs - 1}")


class Net(nn.Sequential):
    """Two layers, with noise between them that draws from torch's generator."""

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        width: Annotated[int, Range(1, 512)] = 8,
        noise: Annotated[float, Range(0, 0.9)] = 0.0,
        activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "bent",  # type: ignore[assignment]
    ):
        layers = [nn.Linear(inputs[0], width), activation(), nn.Dropout(noise), nn.Linear(width, outputs)]
        super().__init__(*layers)


Bend = Annotated[Callable[[], nn.Module], Choice("activation")]


class Branches(nn.Module):
    """One linear layer for each of several activations, given in every form that holds more than one."""

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        pair: tuple[Bend, Bend] = ("bent", "bent"),  # type: ignore[assignment]
        row: tuple[Bend, ...] = (),
        each: list[Bend] = [],  # noqa: B006
        named: dict[str, Bend] = {},  # noqa: B006
    ):
        super().__init__()
        bends = [bend() for bend in (*pair, *row, *each, *named.values())]
        self.branches = nn.ModuleList(nn.Sequential(nn.Linear(inputs[0], outputs), bend) for bend in bends)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([branch(inputs) for branch in self.branches]).sum(0)


def bent(input: Tensor, slope: Annotated[float, Range(0, 1)] = 0.1) -> Tensor:
    """A leaky ReLU."""
    return torch.where(input > 0, input, slope * input)


def hits(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share of samples whose largest output is the right one."""
    return (outputs.argmax(1) == targets).float().mean()


hits.higher_is_better = True  # type: ignore[attr-defined]


def shrink(model: nn.Module, weight: Annotated[float, Range(0, 10)] = 0.01) -> Tensor:
    """Sum of squares of all weights."""
    return weight * torch.stack([parameter.square().sum() for parameter in model.parameters()]).sum()


TOYS = [
    ("dataset", Blobs, None),
    ("task", Sorting, None),
    ("model", Net, None),
    ("model", Branches, None),
    ("activation", bent, None),
    ("metric", hits, None),
    ("regularizer", shrink, None),
    ("loss", nn.CrossEntropyLoss, "entropy"),
    ("optimizer", torch.optim.SGD, "descent"),
    ("optimizer", torch.optim.Adam, "moments"),
    ("optimizer", torch.optim.LBFGS, "newton"),
]
