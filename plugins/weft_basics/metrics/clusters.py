"""How well samples fall into groups."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from weft import Range
from weft_basics.beside import CLUSTERING
from weft_basics.metrics.fitting import check_task
from weft_basics.tasks import UNLABELLED


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
    counts as 0, as all do where there is one group. Outputs (N, K), of which the largest is a sample's group. Of many samples
    some are looked at, chosen by chance, always the same. Rousseeuw, "Silhouettes", 1987.

    Raises:
        ValueError: the task has no groups.
    """

    tasks = UNLABELLED
    higher_is_better = True
    beside: ClassVar[dict[str, Any]] = CLUSTERING

    def __init__(
        self,
        task: str,
        samples: Annotated[int, Range(2, 100_000, log=True), "how many are looked at: time goes by their square"] = 2000,
    ):
        check_task(self, task)
        self.samples = samples
        self.reset()

    def reset(self) -> None:
        self.groups = self.inputs = self.order = torch.empty(0)
        self.chance = torch.Generator().manual_seed(0)

    def update(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> None:
        """Keep those of the samples so far that come first in an order by chance: one as likely as another."""
        order = torch.rand(len(inputs), generator=self.chance)
        parts = [outputs.argmax(1), inputs.flatten(1), order.to(inputs.device)]
        if len(self.order):
            known = (self.groups, self.inputs, self.order)
            parts = [torch.cat([old, new]) for old, new in zip(known, parts, strict=True)]
        chosen = parts[2].argsort()[: self.samples]
        self.groups, self.inputs, self.order = (part[chosen] for part in parts)

    def compute(self) -> float:
        from sklearn.metrics import silhouette_score

        groups, samples = _whole([self.groups]), _whole([self.inputs])
        if not 1 < len(set(groups.tolist())) < len(groups):
            return 0.0
        return float(silhouette_score(samples, groups))


def _whole(parts: list[Tensor]) -> NDArray[Any]:
    found = torch.cat(parts).cpu()
    return (found.double() if found.is_floating_point() else found).numpy()
