"""Which of a model's parameters make up which series of a run, and the rows of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray
from torch import nn

from weft.telemetry.histograms import apart
from weft.telemetry.looks import Found, Subject, trimmed
from weft.telemetry.statistics import meter
from weft.telemetry.tracker import Row

_Numbers = NDArray[np.floating]
_Counts = NDArray[np.integer]


class ParameterSeries:
    """Statistics of parameters: a series each, or taken together by module where they are too many.

    Args:
        named: the parameters by their names, at least one.
        series: the most of each statistic.
    """

    def __init__(self, named: Mapping[str, nn.Parameter], series: int):
        self.parameters = list(named.values())
        self.meter = meter(self.parameters)
        self._named = dict(named)
        labels = together(list(named), series)
        self.subject = Subject(tuple(named), tuple(parameter.numel() for parameter in self.parameters), tuple(labels))
        names = sorted(set(labels), key=labels.index)
        groups = [names.index(label) for label in labels]
        self._order = np.argsort(groups, kind="stable")
        self._starts = np.searchsorted(np.sort(groups), range(len(names))) if len(names) < len(labels) else None
        self._sizes = self._sums(np.array([[float(parameter.numel()) for parameter in self.parameters]]))
        statistics = ("grad_norm", "grad_zeros", "param_norm", "update_ratio")
        self._keys = [f"{statistic}/{name}" for statistic in statistics for name in names]
        self._non_finite = [f"grad_nonfinite/{name}" for name in names]

    def is_of(self, named: Mapping[str, nn.Parameter]) -> bool:
        """Whether it was made for these very parameters."""
        return self._named.keys() == named.keys() and all(self._named[name] is parameter for name, parameter in named.items())

    def rows(self, looks: Sequence[tuple[int, int]], seen: _Numbers) -> Iterator[Row]:
        """Yield a row for each of the meter's looks, told by its step and its time. An update of weights that were all 0 has no
        ratio."""
        found = np.split(np.asarray(seen, dtype=np.float64), 5, axis=1)
        norms, weights, updates = (self._lengths(found[place]) for place in (0, 3, 4))
        nonzero, non_finite = self._sums(found[1]) / self._sizes, self._sums(found[2]) / self._sizes
        with np.errstate(all="ignore"):
            ratios = np.where((updates == 0) & (weights == 0), 0.0, updates / weights)
        from_zero = (updates != 0) & (weights == 0)
        values = np.hstack([norms, 1.0 - nonzero, weights, ratios]).tolist()
        for (step, timestamp), row, shares, without in zip(looks, values, non_finite, from_zero, strict=True):
            bad = {key: share for key, share in zip(self._non_finite, shares.tolist(), strict=True) if share}
            keys = self._keys
            if without.any():
                has = [True] * (len(row) - len(without)) + (~without).tolist()
                keys, row = [*compress(keys, has)], [*compress(row, has)]
            yield Row(step, timestamp, [*keys, *bad], [*row, *bad.values()])

    def found(self, looks: Sequence[tuple[int, int]], seen: _Numbers, counted: Sequence[int], counts: _Counts) -> Found:
        """Return what is kept of the looks: the statistics of every parameter, and the histograms of every series, which are of
        the steps `counted`."""
        if self._starts is not None:
            counts = np.add.reduceat(counts[:, :, self._order], self._starts, axis=2)
        histogram = apart(counts)
        within, first = trimmed(histogram.counts)
        return Found(
            np.array([step for step, _ in looks], dtype=np.int64),
            np.asarray(seen).reshape(len(looks), 5, -1),
            np.array(counted, dtype=np.int64),
            within,
            first,
            histogram.zeros,
            histogram.nonfinite,
        )

    def _lengths(self, norms: _Numbers) -> _Numbers:
        return norms if self._starts is None else np.sqrt(self._sums(np.square(norms)))

    def _sums(self, values: _Numbers) -> _Numbers:
        """Return the sums over the parameters of each series."""
        return values if self._starts is None else np.add.reduceat(values[:, self._order], self._starts, axis=1)


def together(names: list[str], series: int) -> list[str]:
    """Return a label for each parameter, at most `series` different ones: the longest leading parts of names that do."""
    for depth in range(max(name.count(".") for name in names) + 1, 0, -1):
        labels = [".".join(name.split(".")[:depth]) for name in names]
        if len(set(labels)) <= series:
            return labels
    return ["all"] * len(names)
