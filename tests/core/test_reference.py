"""What a run is held against."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from weft import ConfigError
from weft.data import Data
from weft.folder import Folder
from weft.reference import check, compare
from weft.settings import Reference
from weft.sweep.leaderboard import comparison
from weft.sweep.results import entries

METRICS = {"accuracy": object()}
NAMES = ["ridge", "mlp", "lost", "fell"]


@pytest.mark.parametrize(
    ("score", "bounds", "met", "shown"),
    [
        (0.97, {"at_least": 0.97}, True, "≥ 0.97"),
        (0.9699, {"at_least": 0.97}, False, "≥ 0.97"),
        (0.2, {"at_most": 0.25}, True, "≤ 0.25"),
        (0.3, {"at_most": 0.25}, False, "≤ 0.25"),
        (0.25, {"at_least": 0.2, "at_most": 0.3}, True, "0.2 to 0.3"),
        (0.31, {"at_least": 0.2, "at_most": 0.3}, False, "0.2 to 0.3"),
        (math.nan, {"at_least": -1e9}, False, "≥ -1e+09"),
    ],
)
def test_a_score_meets_its_bounds_or_not(score: float, bounds: dict[str, float], met: bool, shown: str) -> None:
    wanted = Reference("test/accuracy", source="somebody", **bounds)
    check(wanted, METRICS, Data.scored)
    found = compare(wanted, {"test/accuracy": score})
    assert found is not None
    assert (found.met, found.wanted, found.source) == (met, shown, "somebody")
    assert ("NOT MET" in str(found)) is not met


def test_a_run_that_has_no_scores_meets_nothing() -> None:
    found = compare(Reference("test/accuracy", at_least=-1.0), {})
    assert found is not None
    assert not found.met


def test_without_a_score_there_is_nothing_to_compare() -> None:
    check(Reference(), METRICS, Data.scored)
    assert compare(Reference(), {"test/accuracy": 1.0}) is None


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            Reference("test/acuracy", 0.9),
            r"'test/acuracy' is no score of this run \(did you mean 'test/accuracy'\?\); there are",
        ),
        (Reference("train/loss", 0.9), "'train/loss' is no score of this run"),
        (Reference("test/loss"), r"give reference.at_least or reference.at_most, to hold test/loss against"),
        (Reference(at_least=0.9), r"reference.at_least: of which score\? Give reference.score"),
        (Reference("test/loss", 2.0, 1.0), r"reference.at_least: 2 is above reference.at_most=1"),
    ],
)
def test_a_reference_that_can_not_be_held_is_refused(wanted: Reference, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(wanted, METRICS, Data.scored)


def test_a_sweep_shows_what_was_met_in_the_order_of_its_jobs(tmp_path: Path) -> None:
    for number, (name, reached) in enumerate(
        [("ridge", 0.5), ("mlp", 0.98), ("none", None), ("lost", math.nan), ("fell", None)]
    ):
        folder = Folder(tmp_path / str(number))
        folder.path.mkdir()
        reference = {
            "score": "test/accuracy",
            "wanted": "≥ 0.97",
            "source": "[5 seeds]",
            "reached": reached,
            "met": number == 1,
        }
        kept = {} if name == "none" else {"reference": reference}
        status = "FAILED" if name == "fell" else "FINISHED"
        folder.note(status=status, objective="valid/loss", score=1.0 - number, overrides=[f"+experiment={name}"], **kept)
    written = io.StringIO()
    Console(file=written, width=120).print(comparison(entries(tmp_path)))
    lines = written.getvalue().splitlines()
    assert "1 of 4 met their reference" in lines[0]
    rows = [line for line in lines if "test/accuracy" in line]
    assert [next(name for name in NAMES if name in row) for row in rows] == NAMES
    assert ["not met" in row for row in rows] == [True, False, True, False]
    assert "failed" in rows[3]
    assert all("[5 seeds]" in row for row in rows)
    assert "0.9800" in rows[1]
