"""The folder `gradients` that a run leaves: what was seen of its gradients, weights and updates, as data and to look at.

histograms.npz    series [series], steps [looks], kinds [3], exponents [exponents], counts [looks, series, 3, 2, exponents],
                  zeros and nonfinite [looks, series, 3]: how many elements are negative and positive with
                  2**exponent <= |x| < 2**(exponent + 1). Exponent -127 stands for all that is smaller, 127 for all that is
                  larger. A series is a parameter, or several of one module where they are too many.
statistics.npz    parameters [parameters], sizes, series (that each is part of), steps [looks], and each statistic
                  [looks, parameters]: grad_norm, grad_zeros and grad_nonfinite (shares), param_norm, update_norm and
                  update_ratio. NaN where a parameter was not looked at.
heatmaps/         a picture of each series and kind
gradients.html    all of it in a page that needs nothing else
non_finite.json   where a number that isn't finite came from, if there was one

`numpy.load` reads the data with `allow_pickle=False`.
"""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft.telemetry import heatmap, page
from weft.telemetry.looks import KINDS, STATISTICS, Record

FOLDER = "gradients"
NON_FINITE = "non_finite.json"


def write(folder: Path, title: str, record: Record | None, non_finite: Mapping[str, Any]) -> None:
    """Write the folder anew, with what there is."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if non_finite:
        (folder / NON_FINITE).write_text(json.dumps(non_finite, indent=1, ensure_ascii=False))
    if record is None:
        return
    np.savez_compressed(folder / "histograms.npz", allow_pickle=False, **histograms(record))
    np.savez_compressed(folder / "statistics.npz", allow_pickle=False, **statistics(record))
    (folder / "gradients.html").write_text(page.page(title, record), encoding="utf-8")
    (folder / "heatmaps").mkdir()
    for place, name in enumerate(record.series if len(record.histogram_steps) else []):
        for kind, what in enumerate(KINDS):
            picture = heatmap.draw(
                f"{name}: {what}",
                record.histogram_steps,
                record.exponents,
                record.counts[:, place, kind].sum(1),
                record.zeros[:, place, kind],
                record.nonfinite[:, place, kind],
            )
            file = folder / "heatmaps" / f"{place:03d}_{_file_name(name)}_{what}.png"
            picture.save(file, compress_type=zlib.Z_RLE)  # cells are all runs: a third of the time for a sixth more bytes


def histograms(record: Record) -> dict[str, NDArray[Any]]:
    """Return the arrays of `histograms.npz`."""
    return {
        "series": np.array(record.series),
        "steps": record.histogram_steps,
        "kinds": np.array(KINDS),
        "exponents": record.exponents,
        "counts": record.counts,
        "zeros": record.zeros,
        "nonfinite": record.nonfinite,
    }


def statistics(record: Record) -> dict[str, NDArray[Any]]:
    """Return the arrays of `statistics.npz`."""
    return {
        "parameters": np.array(record.parameters),
        "sizes": np.array(record.sizes),
        "series": np.array(record.series_of),
        "steps": record.steps,
        **{name: record.statistics[name] for name in STATISTICS},
    }


def first_bad_gradient(record: Record | None) -> tuple[int, list[str]] | None:
    """Return the first step that was seen with a gradient that is not finite, and the parameters whose it was."""
    if record is None:
        return None
    bad = record.statistics["grad_nonfinite"] > 0
    looks = np.flatnonzero(bad.any(1))
    if not len(looks):
        return None
    return int(record.steps[looks[0]]), [record.parameters[place] for place in np.flatnonzero(bad[looks[0]])]


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[:100]
