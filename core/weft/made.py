"""Data that a run makes as it goes, by its model: what a dataset's `batches(run, split)` yields, not parts of its splits.

So an agent learns from what it does. What the splits hold is samples to begin with, made without a model: by them parts are
held against each other, and the data has a digest. An epoch has as many batches as the training split would have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from weft.data import Data, Pair, check_pair
from weft.errors import PluginError

if TYPE_CHECKING:
    from weft.state import Evaluated, Run


def data_of(dataset: Any, name: str) -> Data:
    """Return a dataset's data: its splits, or what is made by a run.

    Raises:
        PluginError: it is no dataset.
    """
    return MadeData(dataset, name) if hasattr(dataset, "batches") else Data(dataset, name)


class MadeData(Data):
    """The data of a dataset with `batches(run, split)`."""

    scored: ClassVar[tuple[str, ...]] = ("test", "valid")  # what a model was trained on is gone
    sample: ClassVar[str] = "the batch's sample"

    def __init__(self, dataset: Any, name: str):
        super().__init__(dataset, name)
        self._dataset = dataset
        self._last: tuple[int, Pair] | None = None
        self._measured: dict[str, int] = {}

    def check(self, run: Run) -> None:
        """Raise a `ConfigError` where the dataset can't be of this run."""
        if hasattr(self._dataset, "check"):
            self._dataset.check(run)

    def training(self, run: Run) -> Iterator[Pair]:
        left = self.steps(run.configuration.settings.batch_size) - run.into_epoch
        given = 0
        for batch in islice(self._yielded(run, "train"), left):
            given += 1
            self._last = (run.step, batch)
            yield batch
        if given < left:
            raise PluginError(
                f"dataset {self.name}: batches(run, 'train') ended after {given} batches, and is to go on for ever"
            )

    def measuring(self, run: Evaluated, split: str) -> Iterator[Pair]:
        self._measured[split] = 0
        for batch in self._yielded(run, split):
            self._measured[split] += len(batch[1])
            yield batch
        if not self._measured[split]:
            raise PluginError(f"dataset {self.name}: batches(run, {split!r}) ended without a batch to measure a model by")

    def _yielded(self, run: Evaluated, split: str) -> Iterator[Pair]:
        """Yield what the dataset does, as far as it is pairs."""
        for batch in self._dataset.batches(run, split):
            check_pair(batch, f"dataset {self.name}: what batches(run, {split!r}) yields")
            yield batch

    def sizes(self) -> dict[str, int]:
        """Return the number of samples of an epoch, and that each other split was measured on last."""
        return {"train": super().sizes()["train"], **self._measured}

    def batch(self, run: Run, epoch: int, number: int) -> tuple[list[int], Pair] | None:
        """Return the batch, if it is the last one, and the places in it: others can't be made again."""
        step = epoch * self.steps(run.configuration.settings.batch_size) + number
        if self._last is None or self._last[0] != step:
            return None
        batch = self._last[1]
        return list(range(len(batch[1]))), batch

    def state_dict(self) -> dict[str, Any]:
        """Return the dataset's state, if it has one."""
        return self._dataset.state_dict() if hasattr(self._dataset, "state_dict") else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        if hasattr(self._dataset, "load_state_dict"):
            self._dataset.load_state_dict(state)
