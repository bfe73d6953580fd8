"""A dataset's splits, on the device, as batches. Data that fits in memory is sliced there: no loader, no worker."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from weft.device import Device
from weft.errors import PluginError

if TYPE_CHECKING:
    from weft.state import Evaluated, Run

SPLITS = ("train", "valid", "test")
Pair = tuple[Tensor, Tensor]

_GATHER = 64
"""Batches that are gathered in one go: a slice of the result costs a tenth of gathering each batch by itself."""
_EVALUATE = 1024
"""Samples at a time when no gradients are needed; fewer where each has many targets, as a sequence does."""
_EVALUATE_TARGETS = 65_536
_EVALUATE_SCORES = 8_388_608
"""Of labels times places: a score is given for each. 32 MiB in 32 bits."""
_MIXED = 0
"""Seed of the order that a split's samples are mixed into."""


class Data:
    """The splits of one dataset, and what the run supplies from it: inputs, outputs, vocabulary, task. `scored` are the splits
    that a trained model has scores on; `sample` is what one of a batch is called."""

    scored: ClassVar[tuple[str, ...]] = ("test", "valid", "train")
    sample: ClassVar[str] = "training sample"

    def __init__(self, dataset: Any, name: str):
        for attribute in ("task", "inputs", "outputs", *SPLITS):
            if not hasattr(dataset, attribute):
                raise PluginError(
                    f"dataset {name} has no {attribute!r}: a dataset has task, inputs, outputs, train, valid, test"
                )
        self.name = name
        self.task: str = dataset.task
        self.inputs: tuple[int, ...] = tuple(dataset.inputs)
        self.outputs: int = dataset.outputs
        self.vocabulary: int | None = getattr(dataset, "vocabulary", None)
        self.tokens: tuple[str, ...] = tuple(map(str, getattr(dataset, "tokens", ())))
        self.classes: tuple[str, ...] = tuple(map(str, getattr(dataset, "classes", ())))
        self.source: str = str(getattr(dataset, "source", name))
        self.splits: dict[str, Pair] = {split: getattr(dataset, split) for split in SPLITS}
        for split, pair in self.splits.items():
            check_pair(pair, f"dataset {name}: {split}")
        self.digest = _digest(self.splits)

    @property
    def supplied(self) -> dict[str, Any]:
        """What the run supplies by name from the data."""
        return {"inputs": self.inputs, "outputs": self.outputs, "vocabulary": self.vocabulary, "task": self.task}

    def sizes(self) -> dict[str, int]:
        """Return the number of samples in each split."""
        return {split: len(targets) for split, (_, targets) in self.splits.items()}

    def place(self, device: Device) -> None:
        """Move all splits to the device."""
        self.splits = {split: (device.place(a), device.place(b)) for split, (a, b) in self.splits.items()}

    def steps(self, size: int) -> int:
        """Return the number of batches of that size in an epoch, the last one maybe smaller."""
        return -(-len(self.splits["train"][1]) // size)

    def training(self, run: Run) -> Iterator[Pair]:
        """Yield what is left of the run's epoch."""
        settings = run.configuration.settings
        return self.batches(settings.batch_size, settings.seed, run.epoch, run.into_epoch)

    def measuring(self, run: Evaluated, split: str) -> Iterator[Pair]:
        """Yield all of a split, mixed where the loss compares samples: those of one class alone would tell it nothing."""
        return self.every(split, getattr(run.loss, "compares_samples", False))

    def batch(self, run: Run, epoch: int, number: int) -> tuple[list[int], Pair] | None:
        """Return a batch once more, and the places of its samples in the training split; None where it is gone."""
        settings = run.configuration.settings
        places = self.order(settings.seed, epoch)[number * settings.batch_size : (number + 1) * settings.batch_size]
        return places.tolist(), next(self.batches(settings.batch_size, settings.seed, epoch, number))

    def batches(self, size: int, seed: int, epoch: int, start: int) -> Iterator[Pair]:
        """Yield an epoch's training batches from number `start` on. The order follows from seed and epoch alone, so a run
        can go on in the middle of an epoch with nothing kept but the two counters."""
        inputs, targets = self.splits["train"]
        order = self.order(seed, epoch)
        for first in range(start * size, len(order), size * _GATHER):
            chosen = order[first : first + size * _GATHER]
            yield from zip(torch.split(inputs[chosen], size), torch.split(targets[chosen], size), strict=True)

    def order(self, seed: int, epoch: int) -> Tensor:
        """Return the places of the training samples in the order of an epoch."""
        _, targets = self.splits["train"]
        shuffle = torch.Generator().manual_seed((seed << 24) + epoch)
        return torch.randperm(len(targets), generator=shuffle).to(targets.device)

    def every(self, split: str, mixed: bool = False) -> Iterator[Pair]:
        """Yield all of a split, in its own order, in which samples of a class may follow each other; or `mixed`, in another
        that is always the same."""
        inputs, targets = self.splits[split]
        if mixed:
            order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(_MIXED)).to(targets.device)
            inputs, targets = inputs[order], targets[order]
        places = targets[0].numel()
        scores = places if targets.is_floating_point() else places * self.outputs
        size = min(_EVALUATE, max(1, _EVALUATE_TARGETS // places), max(1, _EVALUATE_SCORES // scores))
        yield from zip(torch.split(inputs, size), torch.split(targets, size), strict=True)


def check_pair(pair: Any, what: str) -> None:
    """Raise a `PluginError` where samples are no pair of tensors, inputs and as many targets."""
    if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(half, Tensor) for half in pair)):
        raise PluginError(f"{what} is not a pair of tensors (inputs, targets)")
    inputs, targets = pair
    if len(inputs) != len(targets) or not len(targets):
        raise PluginError(f"{what} has {len(inputs)} inputs and {len(targets)} targets")


def _digest(splits: Mapping[str, Pair]) -> str:
    """Return a digest of every number in every split, and of their order."""
    found = hashlib.sha256()
    for split, pair in splits.items():
        for tensor in pair:
            found.update(f"{split} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:32]
