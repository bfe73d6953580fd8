"""The leaderboard as it is printed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.core.sweep.sweeps import grid, job
from weft.sweep import leaderboard
from weft.sweep.leaderboard import board, number
from weft.sweep.results import entries

CLEAR = {"optimizer=sgd": [0.11, 0.12, 0.13, 0.12, 0.11], "optimizer=adam": [0.12, 0.11, 0.14, 0.13, 0.11]}
FAR = {"optimizer=muon": [0.91, 0.95, 0.93, 0.92, 0.94]}


def printed(sweep: Path, width: int = 160) -> str:
    written = io.StringIO()
    leaderboard.show(Console(file=written, width=width), entries(sweep))
    return written.getvalue()


def test_without_repeated_seeds_a_row_is_a_job(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.5, "model=mlp", "epochs=1")
    job(tmp_path, 1, 0.25, "model=cnn", "epochs=1")
    job(tmp_path, 2, None, "model=gru", "epochs=1", status="FAILED")
    found = board(entries(tmp_path))
    assert found.title == "3 runs, best valid/loss first"
    assert found.columns == ("#", "model", "valid/loss", "test/loss", "status")
    assert found.rows == [
        ["1", "cnn", "0.2500", "1.2500", "FINISHED"],
        ["2", "mlp", "0.5000", "1.5000", "FINISHED"],
        ["3", "gru", "", "", "FAILED"],
    ]
    assert (found.best, found.faults, found.notes) == ({0}, {2}, ())


def test_repeated_seeds_make_a_row_a_setting(tmp_path: Path) -> None:
    found = board(entries(grid(tmp_path, {**CLEAR, **FAR})))
    assert found.title == "3 settings, 15 runs, best valid/loss first"
    assert found.columns == ("#", "optimizer", "valid/loss", "95 % interval", "test/loss", "seeds")
    assert [[cell.strip() for cell in row] for row in found.rows] == [
        ["1", "sgd", "0.1180 ± 0.0084", "0.1076 to 0.1284", "1.1180", "5"],
        ["2", "adam", "0.1220 ± 0.0130 ≈", "0.1058 to 0.1382", "1.1220", "5"],
        ["3", "muon", "0.9300 ± 0.0158", "0.9104 to 0.9496", "1.9300", "5"],
    ]
    assert "≈ can't be told apart from the best: p > 0.05 (t-test paired by seed; Holm's correction)" in found.notes
    assert not any("few seeds" in note for note in found.notes)


def test_what_is_told_apart_bears_no_mark(tmp_path: Path) -> None:
    found = board(entries(grid(tmp_path, {"optimizer=sgd": CLEAR["optimizer=sgd"], **FAR})))
    assert not any("≈" in cell for row in found.rows for cell in row)
    assert any(note.startswith("all told apart from the best: p ≤ 0.05") for note in found.notes)


def test_few_seeds_and_a_single_one_are_said(tmp_path: Path) -> None:
    found = board(entries(grid(tmp_path, {"a=1": [0.1, 0.2, None], "a=2": [0.3]})))
    one, other = found.rows
    assert one[-1] == "2 of 3"
    assert found.faults == {0}
    assert [cell.strip() for cell in other[2:4]] == ["0.3000 ?", ""]
    assert any("few seeds (n < 5)" in note for note in found.notes)
    assert any(note.startswith("? not tested") for note in found.notes)
    assert not any("told apart" in note for note in found.notes)


def test_nothing_but_failures(tmp_path: Path) -> None:
    found = board(entries(grid(tmp_path, {"a=1": [None, None], "a=2": [None, None]})))
    assert [row[-1] for row in found.rows] == ["0 of 2", "0 of 2"]
    assert (found.best, found.notes) == (frozenset(), ())


def test_several_objectives_have_a_column(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.5, "a=1")
    job(tmp_path, 1, 0.7, "a=2", objective="valid/accuracy", maximize=True)
    found = board(entries(tmp_path))
    assert found.columns[:4] == ("#", "a", "of", "objective")
    assert [row[2] for row in found.rows] == ["valid/accuracy", "valid/loss"]


def test_more_than_are_shown_are_counted(tmp_path: Path) -> None:
    for place in range(33):
        job(tmp_path, place, float(place), f"a={place}")
    assert "and 3 more" in printed(tmp_path)


@pytest.mark.parametrize(("width", "fits"), [(80, False), (100, True), (140, True)])
def test_no_number_is_broken_in_a_narrow_terminal(tmp_path: Path, width: int, fits: bool) -> None:
    """What doesn't fit is left out, and that is said."""
    shown = printed(
        grid(tmp_path, {f"model={name}_of_some_length optimizer={name}": FAR["optimizer=muon"] for name in "ab"}), width
    )
    assert all(len(line) <= width for line in shown.splitlines())
    assert shown.count("0.9300 ± 0.0158") == 2
    assert ("test/loss" in shown.partition("mean ±")[0]) == fits
    assert ("a wider terminal shows test/loss" in " ".join(shown.split())) != fits


def test_a_value_that_looks_like_markup_is_shown_as_it_is(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.5, "regularizer=[red]")
    job(tmp_path, 1, 0.6, "regularizer=[/]")
    shown = printed(tmp_path)
    assert "[red]" in shown
    assert "[/]" in shown


def test_what_did_not_end_well_is_named_with_its_reason(tmp_path: Path) -> None:
    job(tmp_path, 0, 0.5, "a=1")
    job(tmp_path, 1, None, "a=2", status="FAILED", error="ConfigError: [b] is none")
    job(tmp_path, 2, None, "a=3", status="RUNNING")
    written = io.StringIO()
    leaderboard.show_unfinished(Console(file=written, width=200), entries(tmp_path))
    assert written.getvalue().splitlines() == [
        f"FAILED {tmp_path}/1: ConfigError: [b] is none",
        f"RUNNING {tmp_path}/2",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (float("nan"), ""), (0.0, "0.0000"), (0.12345, "0.1235"), (0.00012, "0.00012"), (-3e7, "-3e+07")],
)
def test_a_number_is_readable_whatever_its_size(value: float | None, text: str) -> None:
    assert number(value) == text


def test_numbers_that_a_search_has_drawn_are_shown_short() -> None:
    assert leaderboard.short("0.005867555215627326") == "0.005868"
    assert leaderboard.short("1.5284548790514543e-09") == "1.528e-09"
    assert leaderboard.short("0.00025") == "0.00025"
    assert leaderboard.short("squared_relu") == "squared_relu"
