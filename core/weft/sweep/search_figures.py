"""What a search has found out: how much each parameter matters, and Optuna's pictures of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from weft.sweep.search import Search, quiet

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

ENOUGH = 4
"""Jobs with a score that it takes to say anything about parameters."""


def importances(search: Search) -> tuple[dict[str, float], str]:
    """Return the share that each dimension has in how the scores differ, the largest first; or none, and the reason.

    By PED-ANOVA (Watanabe et al., 2023), extended to dimensions that are not always there.
    """
    from optuna.importance import get_param_importances

    scored = search.scored()
    reason = _too_few(scored) or _all_alike(scored)
    if reason:
        return {}, reason
    with quiet():
        return get_param_importances(search.study), ""


def draw(search: Search, folder: Path) -> tuple[list[Path], dict[str, str]]:
    """Write `history.png`, `importances.png`, `slice.png` and `parallel.png` to a folder that exists; return the files that
    were written, and of the others the reason why not, by name."""
    if "matplotlib.pyplot" not in sys.modules:
        import matplotlib

        matplotlib.use("agg")  # a picture is a file: no window system is asked for
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as plots

    scored = search.scored()
    values = {
        item.key: [trial.params[item.key] for trial in scored if item.key in trial.params] for item in search.space.dimensions
    }
    varied = [key for key, found in values.items() if len({*found}) > 1]  # there is nothing to see in others
    shared = [key for key in varied if len(values[key]) == len(scored)]
    too_few = _too_few(scored)
    wanted: dict[str, tuple[str, Callable[[], Any]]] = {
        "history": ("" if scored else "no job has a score", lambda: plots.plot_optimization_history(search.study)),
        "importances": (importances(search)[1], lambda: plots.plot_param_importances(search.study)),
        "slice": (
            too_few or ("" if varied else "it takes a parameter that varies"),
            lambda: plots.plot_slice(search.study, params=varied),
        ),
        "parallel": (
            too_few or ("" if len(shared) > 1 else "it takes two parameters that vary and that every job has"),
            lambda: plots.plot_parallel_coordinate(search.study, params=shared),
        ),
    }
    written, left_out = [], {}
    for name, (reason, plot) in wanted.items():
        if reason:
            left_out[name] = reason
            continue
        with quiet():
            figure = numpy.ravel(plot())[0].figure  # of one axis, or the first of several
        file = folder / f"{name}.png"
        figure.savefig(file, dpi=150, bbox_inches="tight")
        pyplot.close(figure)
        written.append(file)
    return written, left_out


def _too_few(scored: list[FrozenTrial]) -> str:
    return f"{len(scored)} jobs have a score, and it takes {ENOUGH}" if len(scored) < ENOUGH else ""


def _all_alike(scored: list[FrozenTrial]) -> str:
    return "all jobs have the same score" if len({trial.value for trial in scored}) == 1 else ""
