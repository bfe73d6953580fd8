"""What looks at a run have found, parameter by parameter, in a file of its folder: added to as they come, read when it ends.

The file is a row of NumPy arrays, as `numpy.save` writes them, one after the other. Four of texts and numbers name the
parameters, and come again when those change; seven hold what was found since the last time. What a killed process has left
half written is not read, and cut off before anything is added. Checkpoints hold none of it: when one is written, all up to its
step is in the file, and a run that goes on from it drops what came later.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from weft.telemetry.histograms import SMALLEST

log = logging.getLogger("weft")

KINDS = ("gradient", "weight", "update")
"""What histograms are of, in the order of their axis."""
FILE = "looks.npys"


class Subject(NamedTuple):
    """What is looked at: parameters, their sizes, and the series that each belongs to."""

    parameters: Sequence[str]
    sizes: Sequence[int]
    series: Sequence[str]

    @property
    def labels(self) -> list[str]:
        """The names of the series, in their order."""
        return list(dict.fromkeys(self.series))


class Found(NamedTuple):
    """What some looks have found. Of each parameter: norm of the gradient, its elements that aren't zero, those that aren't
    finite, norm of the weights, norm of the update. Histograms are of some of the steps, and of each series."""

    steps: NDArray[np.integer]  # [looks]
    statistics: NDArray[np.floating]  # [looks, 5, parameters]
    counted: NDArray[np.integer]  # [histograms]
    counts: NDArray[np.integer]  # [histograms, 3, series, 2, exponents]
    first: NDArray[np.integer]  # [1]: of the exponents
    zeros: NDArray[np.integer]  # [histograms, 3, series]
    nonfinite: NDArray[np.integer]  # [histograms, 3, series]


@dataclass(frozen=True)
class Record:
    """All of a run's looks. What was not looked at in one is NaN in its statistics, and 0 in all of its counts."""

    parameters: list[str]
    sizes: list[int]  # of each parameter
    steps: NDArray[np.int64]  # [looks]
    statistics: dict[str, NDArray[np.float32]]  # each [looks, parameters]
    series: list[str]
    series_of: list[str]  # of each parameter
    histogram_steps: NDArray[np.int64]  # [histograms]
    exponents: NDArray[np.int16]  # [exponents]
    counts: NDArray[np.uint32]  # [histograms, series, 3, 2, exponents]
    zeros: NDArray[np.uint32]  # [histograms, series, 3]
    nonfinite: NDArray[np.uint32]  # [histograms, series, 3]


class Keeper(Protocol):
    """Keeps what looks find."""

    def begin(self, step: int) -> None:
        """Begin after this step: what was found later is of a run that was cut off."""
        ...

    def add(self, subject: Subject, found: Found) -> None:
        """Keep this too."""
        ...

    def read(self, counted: Sequence[int]) -> Record | None:
        """Return all that was kept, with the histograms of these steps; None where there is nothing."""
        ...


class Forgetting:
    """Keeps nothing: for runs without a folder."""

    def begin(self, step: int) -> None:
        pass

    def add(self, subject: Subject, found: Found) -> None:
        pass

    def read(self, counted: Sequence[int]) -> Record | None:
        return None


class Looks:
    """Keeps them in a file. A disk that is full or fails costs what would have been kept, a warning, and nothing else."""

    def __init__(self, folder: Path):
        self._path = folder / FILE
        self._subject: Subject | None = None
        self._is_lost = False

    def begin(self, step: int) -> None:
        if self._path.exists():
            chunks = [(subject, _until(found, step)) for subject, found in _chunks(self._path)]
            self._subject = None
            self._write(chunks, "wb")

    def add(self, subject: Subject, found: Found) -> None:
        self._write([(subject, found)], "ab")

    def read(self, counted: Sequence[int]) -> Record | None:
        chunks = [*_chunks(self._path)] if self._path.exists() else []
        return _record(chunks, counted) if chunks else None

    def _write(self, chunks: Sequence[tuple[Subject, Found]], mode: str) -> None:
        """Write these. After a failure nothing more is: a file with a gap would not say so."""
        if self._is_lost:
            return
        content = io.BytesIO()
        for subject, found in chunks:
            if subject != self._subject:
                series = [subject.labels.index(label) for label in subject.series]
                for array in (subject.parameters, subject.sizes, subject.labels, series):
                    np.save(content, np.asarray(array), allow_pickle=False)
                self._subject = subject
            for numbers in found:
                np.save(content, _narrow(numbers), allow_pickle=False)
        try:
            with open(self._path, mode) as file:
                file.write(content.getbuffer())
        except OSError as error:
            self._is_lost = True
            log.warning("%s: %s; histograms are not kept from here on", self._path, error)


def trimmed(counts: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return counts […, exponents] without the empty ends of the last axis, and the first place that is left, [1]."""
    occupied = np.flatnonzero(counts.reshape(-1, counts.shape[-1]).any(0))
    start, end = (occupied[0], occupied[-1] + 1) if len(occupied) else (0, 0)
    return counts[..., start:end], np.array([start])


def _narrow(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers in the smallest type that holds them: counts mostly fit into a byte or two."""
    if numbers.dtype.kind == "f":
        return numbers.astype(np.float32)
    return numbers.astype(np.min_scalar_type(int(numbers.max()))) if numbers.size else numbers.astype(np.uint8)


def _chunks(path: Path) -> Iterator[tuple[Subject, Found]]:
    """Yield what the file holds, up to its end or to what can't be read."""
    with open(path, "rb") as file:
        subject = None
        while True:
            try:
                first = np.load(file, allow_pickle=False)
                if first.dtype.kind == "U":
                    sizes, labels, series = (np.load(file, allow_pickle=False) for _ in range(3))
                    names = labels.tolist()
                    subject = Subject(tuple(first.tolist()), tuple(sizes.tolist()), tuple(names[place] for place in series))
                    first = np.load(file, allow_pickle=False)
                found = Found(first, *(np.load(file, allow_pickle=False) for _ in range(6)))
            except (EOFError, ValueError, OSError):
                return
            if subject is None:
                return
            yield subject, found


def _until(found: Found, step: int) -> Found:
    looks, histograms = found.steps <= step, found.counted <= step
    return Found(
        found.steps[looks],
        found.statistics[looks],
        found.counted[histograms],
        found.counts[histograms],
        found.first,
        found.zeros[histograms],
        found.nonfinite[histograms],
    )


def _record(chunks: Sequence[tuple[Subject, Found]], counted: Sequence[int]) -> Record:
    """Put chunks together: each parameter and each series has its place, whenever it was looked at."""
    parameters = [*dict.fromkeys(name for subject, _ in chunks for name in subject.parameters)]
    series = [*dict.fromkeys(label for subject, _ in chunks for label in subject.labels)]
    size_of = {name: size for subject, _ in chunks for name, size in zip(subject.parameters, subject.sizes, strict=True)}
    series_of = {name: label for subject, _ in chunks for name, label in zip(subject.parameters, subject.series, strict=True)}
    steps = np.concatenate([found.steps for _, found in chunks]).astype(np.int64)
    statistics = {name: np.full((len(steps), len(parameters)), np.nan, np.float32) for name in STATISTICS}
    wanted = [np.isin(found.counted, counted) for _, found in chunks]
    histogram_steps = np.concatenate([found.counted[chosen] for (_, found), chosen in zip(chunks, wanted, strict=True)])
    width = 255
    counts = np.zeros((len(histogram_steps), len(series), len(KINDS), 2, width), np.uint32)
    zeros, nonfinite = (np.zeros((len(histogram_steps), len(series), len(KINDS)), np.uint32) for _ in range(2))
    look = histogram = 0
    for (subject, found), chosen in zip(chunks, wanted, strict=True):
        places = [parameters.index(name) for name in subject.parameters]
        rows = slice(look, look := look + len(found.steps))
        for name, values in _statistics(found.statistics, np.asarray(subject.sizes)).items():
            statistics[name][rows, places] = values
        labels = [series.index(label) for label in subject.labels]
        start, first = histogram, int(found.first[0])
        histogram += int(chosen.sum())
        for place, label in enumerate(labels):
            counts[start:histogram, label, :, :, first : first + found.counts.shape[-1]] = found.counts[chosen][:, :, place]
            zeros[start:histogram, label] = found.zeros[chosen][:, :, place]
            nonfinite[start:histogram, label] = found.nonfinite[chosen][:, :, place]
    narrow, lowest = trimmed(counts)
    return Record(
        parameters=parameters,
        sizes=[size_of[name] for name in parameters],
        steps=steps,
        statistics=statistics,
        series=series,
        series_of=[series_of[name] for name in parameters],
        histogram_steps=histogram_steps.astype(np.int64),
        exponents=(np.arange(narrow.shape[-1]) + lowest + SMALLEST).astype(np.int16),
        counts=narrow.astype(np.uint32),
        zeros=zeros,
        nonfinite=nonfinite,
    )


STATISTICS = ("grad_norm", "grad_zeros", "grad_nonfinite", "param_norm", "update_norm", "update_ratio")
"""Of each parameter: lengths of gradient, weights and update; shares of its gradient's elements that are zero, and that are NaN
or infinite; norm of the update over norm of the weights."""


def _statistics(found: NDArray[np.floating], sizes: NDArray[np.integer]) -> Mapping[str, NDArray[np.floating]]:
    """Return the statistics of looks [looks, 5, parameters], each [looks, parameters]."""
    norms, nonzero, nonfinite, weights, updates = np.moveaxis(found.astype(np.float64), 1, 0)
    with np.errstate(all="ignore"):
        ratios = np.where((updates == 0) & (weights == 0), 0.0, updates / weights)
        values = (norms, 1 - nonzero / sizes, nonfinite / sizes, weights, updates, ratios)
    return dict(zip(STATISTICS, values, strict=True))
