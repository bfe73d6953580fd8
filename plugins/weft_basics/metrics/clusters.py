"""How well samples fall into groups."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from weft import Range
from weft_basics.beside import CLUSTERING
from weft_basics.metrics.fitting import check_task

UNLABELLED = ("clustering", "density")
"""Tasks whose outputs are of groups that nobody has named: the largest says which one a sample is in."""


class AdjustedRandIndex:
    """Share of pairs that are together, or apart, in the groups as in the classes: 1 for all, 0 for as many as by chance.

    Outputs (N, K), of which the largest is a sample's group; targets (N,) its class. Hubert and Arabie, "Comparing
    partitions", 1985.

    Raises:
        ValueError: the task has no groups.
    """

    tasks = UNLABELLED
    higher_is_better = True
    beside: ClassVar[dict[str, Any]] = CLUSTERING

    def __init__(self, task: str):
        check_task(self, task)
        self.reset()

    def reset(self) -> None:
        self.groups: list[Tensor] = []
        self.classes: list[Tensor] = []

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        self.groups.append(outputs.argmax(1))
        self.classes.append(targets)

    def compute(self) -> float:
        from sklearn.metrics import adjusted_rand_score

        return float(adjusted_rand_score(_whole(self.classes), _whole(self.groups)))


class Silhouette:
    """How much nearer samples are to their own group than to the next one: from -1 to 1, the mean of (b - a) / max(a, b).

    a is the mean distance to the others of a sample's group, b that to the nearest other group; a sample alone in its group
    counts as 0, as all do where there is one group. Outputs (N, K), of which the largest is a sample's group. Rousseeuw,
    "Silhouettes", 1987.

    Raises:
        ValueError: the task has no groups.
    """

    tasks = UNLABELLED
    higher_is_better = True
    beside: ClassVar[dict[str, Any]] = CLUSTERING

    def __init__(
        self,
        task: str,
        samples: Annotated[
            int, Range(2, 100_000, log=True), "how many are looked at, the first: time goes by their square"
        ] = 2000,
    ):
        check_task(self, task)
        self.samples = samples
        self.reset()

    def reset(self) -> None:
        self.groups: list[Tensor] = []
        self.inputs: list[Tensor] = []
        self.held = 0

    def update(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> None:
        left = self.samples - self.held
        self.groups.append(outputs[:left].argmax(1))
        self.inputs.append(inputs[:left].flatten(1))
        self.held += len(self.groups[-1])

    def compute(self) -> float:
        from sklearn.metrics import silhouette_score

        groups, samples = _whole(self.groups), _whole(self.inputs)
        if not 1 < len(set(groups.tolist())) < len(groups):
            return 0.0
        return float(silhouette_score(samples, groups))


def _whole(parts: list[Tensor]) -> NDArray[Any]:
    found = torch.cat(parts).cpu()
    return (found.double() if found.is_floating_point() else found).numpy()
