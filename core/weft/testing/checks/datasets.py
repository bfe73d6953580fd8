"""What is asked of datasets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from weft.build import build
from weft.configuration import default_part
from weft.data import SPLITS, Data
from weft.errors import PluginError
from weft.made import MadeData
from weft.testing.checks.every import repeatable, resumes
from weft.testing.outcome import Failure
from weft.testing.subject import Subject

_SHARED = 0.05


def _data(subject: Subject, split_seed: int = 0, seed: int = 0) -> tuple[Any, Data]:
    made = subject.build(seed, split_seed=split_seed)
    try:
        return made, Data(made, subject.component.name)
    except PluginError as error:
        raise Failure(str(error)) from error


def told(subject: Subject) -> None:
    """Its splits are what it says: of its inputs' shape, finite, tokens of its vocabulary, a name for each class."""
    made, data = _data(subject)
    for split, (inputs, _) in data.splits.items():
        if tuple(inputs.shape[1:]) != data.inputs:
            raise Failure(f"{split} has samples of shape {list(inputs.shape[1:])}, and inputs says {list(data.inputs)}")
        if inputs.is_floating_point() and not inputs.isfinite().all():
            raise Failure(f"{split} has inputs that are not finite")
        if data.vocabulary is not None and (inputs.is_floating_point() or inputs.min() < 0 or inputs.max() >= data.vocabulary):
            raise Failure(f"{split} has inputs that are none of the {data.vocabulary} tokens")
    if data.classes and len(data.classes) != data.outputs:
        raise Failure(f"it names {len(data.classes)} classes, and has {data.outputs} outputs")
    if not isinstance(made.outputs, int) or made.outputs < 1:
        raise Failure(f"outputs is {made.outputs!r}: how many numbers a model is to answer with")


def targets(subject: Subject) -> None:
    """Its targets are such as its task has."""
    _, data = _data(subject)
    try:
        task = build(default_part("task", data.task, subject.catalog), subject.catalog)
    except PluginError as error:
        raise Failure(f"its task: {error}") from error
    for split in SPLITS:
        try:
            task.check(data.outputs, data.splits[split][1])
        except ValueError as error:
            raise Failure(f"{split}: {error}") from error


def seeded(subject: Subject) -> None:
    """The same split_seed gives the same splits, whatever else was drawn."""
    if _data(subject, seed=1)[1].digest != _data(subject, seed=2)[1].digest:
        raise Failure("the same split_seed gives other samples when the process's generators stand elsewhere")


def separate(subject: Subject) -> None:
    """No more than one sample in twenty of a split was trained on."""
    _, data = _data(subject)
    known = _digests(data.splits["train"])
    for split in ("valid", "test"):
        found = _digests(data.splits[split])
        shared = sum(digest in known for digest in found)
        if shared > _SHARED * len(found):
            raise Failure(f"{shared} of the {len(found)} samples of {split} are in train as well")


def made(subject: Subject) -> None:
    """What a run makes by it has the form of its splits, is the same for the same seed, and goes on from a checkpoint."""
    settings: list[dict[str, Any]] = [{}, {"precision": "fp64"}]
    if torch.cuda.is_available():
        settings.append({"device": "cuda"})
    for chosen in settings:
        run = subject.run(**chosen)
        if not isinstance(run.data, MadeData):
            return
        for split, pair in run.data.splits.items():
            batch = next(run.batches() if split == "train" else run.every(split))
            for half, known, what in zip(batch, pair, ("inputs", "targets"), strict=True):
                if (found := _form(half)) != (wanted := _form(known)):
                    raise Failure(
                        f"{what} of a batch of {split} are {found}, those of the split {wanted}: run.device.place(tensor) puts "
                        "them where the run is, in its precision"
                    )
    repeatable(subject)
    resumes(subject)


def _form(samples: Tensor) -> str:
    return f"{samples.dtype} {list(samples.shape[1:])} on {samples.device.type}"


def _digests(pair: tuple[Tensor, Tensor]) -> set[bytes]:
    inputs, targets = (half.cpu().contiguous().numpy() for half in pair)
    return {hashlib.sha256(one.tobytes() + other.tobytes()).digest() for one, other in zip(inputs, targets, strict=True)}


CHECKS: list[Callable[[Subject], None]] = [told, targets, seeded, separate, made]
CAPABILITIES: list[Callable[[Subject], None]] = []
