"""Into how many groups samples are put, where nobody says which one each of them is in."""

from __future__ import annotations

from typing import Annotated, Any

from weft import ConfigError, Range, Run

Components = Annotated[
    int | None,
    Range(1, 100_000, log=True),
    "how many; null: as many as the dataset has classes, which those of a classification are",
]


def groups(asked: int | None, outputs: int, task: str) -> int:
    """Return how many there are.

    Raises:
        ValueError: a classification has a number of its own.
    """
    if task == "classification" and asked not in (None, outputs):
        raise ValueError(
            f"components={asked}: the dataset has {outputs} classes, and each of them is a component; leave it out"
        )
    return outputs if asked is None else asked


def check_enough(run: Run) -> None:
    """Refuse a model whose components are more than the samples that it is trained on.

    Raises:
        ConfigError: that.
    """
    model: Any = run.model
    components, samples = model.components, run.data.sizes()["train"]
    if components > samples:
        raise ConfigError(
            f"model.components: {components} are more than the {samples} samples to train on; one each is the most"
        )
