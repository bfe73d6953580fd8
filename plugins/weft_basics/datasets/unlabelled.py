"""Another dataset's samples, for tasks that don't learn from labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from weft import Choice
from weft_basics.datasets.dataset import Dataset


def unlabelled(
    split_seed: int,
    of: Annotated[
        Callable[..., Any], Choice("dataset"), "whose samples they are; its labels are what clusters are held against"
    ] = "iris",  # type: ignore[assignment]
    task: Annotated[
        Literal["clustering", "density", "reconstruction"],
        "which groups they fall into, how probable each is, or what is left of it in a few numbers",
    ] = "clustering",
) -> Dataset:
    """Another dataset's samples, of which nobody says to a model what they are.

    Raises:
        ValueError: its samples are tokens, or have no label each.
    """
    whole = of(split_seed=split_seed)
    are_tokens = getattr(whole, "vocabulary", None) is not None
    if are_tokens or whole.task != "classification":
        kind = "tokens" if are_tokens else f"those of {whole.task}"
        raise ValueError(f"of: takes samples of numbers with a class each, and here they are {kind}")
    train, valid, test = whole.train, whole.valid, whole.test
    if task == "reconstruction":
        train, valid, test = ((inputs, inputs.flatten(1)) for inputs, _ in (train, valid, test))
    return Dataset(
        task=task,
        inputs=tuple(whole.inputs),
        outputs=train[1].shape[1] if task == "reconstruction" else whole.outputs,
        train=train,
        valid=valid,
        test=test,
        source=str(getattr(whole, "source", "")),
        classes=tuple(getattr(whole, "classes", ())),
    )
