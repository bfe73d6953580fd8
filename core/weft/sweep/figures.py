"""Pictures of a sweep: the scores of each setting, and how the best score came about.

Colours are of the palette that M. Okabe and K. Ito made for all kinds of colour vision; what a colour says, a shape says too.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weft.kinds import KINDS
from weft.sweep.leaderboard import mark
from weft.sweep.results import Entry, Group, best_so_far, differing
from weft.sweep.statistics import SEEDS

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

MOST = 60
"""Settings in the picture of scores: the best of each objective."""
_WIDTH, _ROW, _FRAME, _DOTS = 9.0, 0.375, 1.1, 150
"""Inches of a picture, of a row in it, of what stands around the rows; dots an inch."""
_BLUE, _ORANGE, _GREY, _INK = "#0072B2", "#D55E00", "#8C8C8C", "#262626"
_LINE = 48
"""Letters a line of a setting's name, which has two lines at most."""
_WIDE = 100.0
"""Positive scores whose largest is so many times the smallest are drawn on a logarithmic scale."""


def warm() -> None:
    """Import what draws."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401


def scores(made: Sequence[Group], file: Path) -> bool:
    """Draw each setting's scores, their mean and its confidence interval, best setting on top; return whether there are any.

    Args:
        made: all settings, in the order of the leaderboard.
    """
    keys = [key for key in differing([job for group in made for job in group.jobs]) if key not in SEEDS]
    named = [(_name(place, group, keys), group) for place, group in enumerate(made, 1) if group.scores]
    objectives = [*dict.fromkeys(group.objective for _, group in named)]
    all_of = {objective: [row for row in named if row[1].objective == objective] for objective in objectives}
    panels = {objective: rows[: max(1, MOST // len(objectives))] for objective, rows in all_of.items()}
    if not panels:
        return False
    with _drawn(file, [len(panel) * _ROW + _FRAME for panel in panels.values()]) as all_axes:
        for axes, (objective, panel) in zip(all_axes, panels.items(), strict=True):
            _draw_scores(axes, panel)
            axes.set_xlabel(objective)
            left_out = len(all_of[objective]) - len(panel)
            first = "highest" if panel[0][1].maximize else "lowest"
            more = f"; {left_out} more are not shown" if left_out else ""
            axes.set_title(f"Scores by setting, {first} first{more}", loc="left")
        if any(group.estimate.n > 1 for panel in panels.values() for _, group in panel):
            _explain(all_axes[0])
    return True


def _draw_scores(axes: Axes, panel: Sequence[tuple[str, Group]]) -> None:
    for row, (_, group) in enumerate(panel):
        told = group.estimate
        is_told_apart = not group.is_best and not mark(group)
        colour = _ORANGE if is_told_apart else _BLUE
        if told.n > 1:
            axes.plot([told.low, told.high], [row, row], color=colour, linewidth=2, solid_capstyle="butt", zorder=2)
            values = [*group.scores.values()]
            axes.scatter(values, [row] * told.n, s=18, facecolors="none", edgecolors=_GREY, linewidths=0.9, zorder=3)
        axes.scatter([told.mean], [row], s=34, marker="s" if is_told_apart else "D", color=colour, zorder=4)
    axes.set_yticks(range(len(panel)), [name for name, _ in panel], fontsize=8, parse_math=False)
    axes.set_ylim(len(panel) - 0.4, -0.6)
    if _is_wide([value for _, group in panel for value in group.scores.values()]):
        axes.set_xscale("log")


def _is_wide(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) > _WIDE * min(values)


def _explain(axes: Axes) -> None:
    from matplotlib.lines import Line2D

    plain: dict[str, Any] = {"linestyle": "none", "markersize": 5.5}
    handles = [
        Line2D([], [], color=_BLUE, marker="D", label="best, or not told apart from it", **plain),
        Line2D([], [], color=_ORANGE, marker="s", label="told apart from the best", **plain),
        Line2D([], [], color=_INK, linewidth=2, label="95 % interval of the mean"),
        Line2D([], [], color=_GREY, marker="o", markerfacecolor="none", label="one seed", **plain),
    ]
    _legend(axes, handles)


def _legend(axes: Axes, handles: Sequence[Artist]) -> None:
    """Put the legend below all axes."""
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False)


def progress(found: Sequence[Entry], file: Path) -> bool:
    """Draw the scores of jobs in the order of their ends, and the best so far; return whether there are any."""
    objectives = dict.fromkeys(entry.objective for entry in found if entry.score is not None)
    if not objectives:
        return False
    from matplotlib.ticker import MaxNLocator

    with _drawn(file, [3.4] * len(objectives)) as all_axes:
        for axes, objective in zip(all_axes, objectives, strict=True):
            jobs = best_so_far(found, objective)
            places, values = range(1, len(jobs) + 1), [entry.score or 0.0 for entry, _ in jobs]
            axes.scatter(places, values, s=16, facecolors="none", edgecolors=_GREY, label="a job")
            axes.step(places, [best for _, best in jobs], where="post", color=_BLUE, linewidth=2, label="best so far")
            axes.set(xlabel="jobs that have ended", ylabel=objective)
            axes.set_title("Best so far", loc="left")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if _is_wide(values):
                axes.set_yscale("log")
        _legend(all_axes[0], all_axes[0].get_legend_handles_labels()[0])
    return True


def _name(place: int, group: Group, keys: Sequence[str]) -> str:
    """Return a setting's place in the leaderboard and what is special about it, in two lines at most."""
    last = [key.rpartition(".")[2] for key in keys]
    short = {key: word if last.count(word) == 1 else key for key, word in zip(keys, last, strict=True)}
    chosen = [(key, group.choices[key]) for key in keys if key in group.choices]
    words = [value if key in KINDS else f"{short[key]}={value}" for key, value in chosen]
    lines = textwrap.wrap(f"{place}. {', '.join(words) or 'all jobs'}", _LINE, break_on_hyphens=False)
    return "\n".join(lines[:2]) + (" …" if len(lines) > 2 else "")


@contextmanager
def _drawn(file: Path, heights: Sequence[float]) -> Iterator[list[Axes]]:
    """Yield axes, one above the other, of so many inches; write them into a PNG."""
    import matplotlib
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "text.color": _INK,
        "axes.grid": True,
    }
    with matplotlib.rc_context({**style, "grid.color": "#E6E6E6", "axes.axisbelow": True}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a letter that the font lacks is drawn as a box
        figure = Figure(figsize=(_WIDTH, sum(heights)), dpi=_DOTS, layout="constrained")
        yield [*figure.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]]
        figure.savefig(file)
