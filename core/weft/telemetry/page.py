"""One HTML page of a run's gradients, weights and updates, with its data in it. It needs no network, nor anything beside it.

What it looks like and does stands in page.html.
"""

from __future__ import annotations

import base64
import html
import json
import zlib
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft.telemetry.looks import KINDS, Record

_POINTS = 1000
"""Of a curve at most: a screen has no more."""


def page(title: str, record: Record) -> str:
    """Return the page."""
    template = files("weft.telemetry").joinpath("page.html").read_text(encoding="utf-8")
    content = json.dumps(data(record), allow_nan=False).replace("<", "\\u003c")
    return template.replace("{{title}}", html.escape(title)).replace("{{data}}", content)


def data(record: Record) -> dict[str, Any]:
    """Return what is in the page: arrays as shape, type, and base64 of their little-endian bytes, deflated by zlib."""
    chosen = slice(None, None, max(1, -(-len(record.steps) // _POINTS)))
    return {
        "series": record.series,
        "kinds": list(KINDS),
        "steps": record.histogram_steps.tolist(),
        "exponents": record.exponents.tolist(),
        "counts": packed(record.counts, "<u4"),
        "zeros": packed(record.zeros, "<u4"),
        "nonfinite": packed(record.nonfinite, "<u4"),
        "curve_steps": record.steps[chosen].tolist(),
        "curves": {name: packed(values[chosen], "<f4") for name, values in curves(record).items()},
    }


def packed(numbers: NDArray[Any], kind: str) -> dict[str, Any]:
    """Return an array as JSON's types."""
    content = zlib.compress(np.ascontiguousarray(numbers, dtype=kind).tobytes(), 6)
    return {"shape": list(numbers.shape), "type": kind, "zlib": base64.b64encode(content).decode()}


def unpacked(value: dict[str, Any]) -> NDArray[Any]:
    """Return the array."""
    content = zlib.decompress(base64.b64decode(value["zlib"]))
    return np.ndarray(tuple(value["shape"]), value["type"], content)


def curves(record: Record) -> dict[str, NDArray[np.floating]]:
    """Return statistics of each series, [looks, series]: those of its parameters, taken together."""
    membership = np.array([[of == name for name in record.series] for of in record.series_of], dtype=float)

    def lengths(name: str) -> NDArray[np.floating]:
        squares = _sums(np.square(record.statistics[name].astype(float)), membership)
        return squares**0.5

    shares = np.asarray(record.sizes) * record.statistics["grad_zeros"].astype(float)
    weights, updates = lengths("param_norm"), lengths("update_norm")
    with np.errstate(all="ignore"):
        return {
            "grad_norm": lengths("grad_norm"),
            "param_norm": weights,
            "update_ratio": np.where(weights == 0, np.nan, updates / weights),  # from 0 on there is none
            "grad_zeros": _sums(shares, membership) / (np.asarray(record.sizes) @ membership),
        }


def _sums(values: NDArray[np.floating], membership: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the sums over each series' parameters."""
    return np.stack([values[:, member > 0].sum(1) for member in membership.T], axis=1)
