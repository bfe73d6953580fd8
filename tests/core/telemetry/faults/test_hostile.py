"""Rows 29 and 30: hostile names and values, and clocks that jump."""

from __future__ import annotations

import string
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.core.telemetry.conftest import Track
from tests.core.telemetry.faults.conftest import INJECTED, POINTS
from tests.core.telemetry.faults.oracle import shipped, stored, verified
from weft.telemetry.recording import JournalTracker
from weft.telemetry.tracker import Opening, Row, Status
from weft.telemetry.verification import Finding

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("unshipped")]

_NOW = 1_700_000_000_000
_YEAR = 365 * 24 * 3600 * 1000

nasty = st.sampled_from(
    [
        *("", "\0", "a\0b", "\n", "a\r\nb", " ", "/", "//", ".", "..", "a/../b", "../../etc/passwd", "x" * 10_000, "a" * 251),
        *("\ud800", "🙂", "é", "e\u0301", "\u202e", "\ufeff", "ﬀ", "İ", "\x1b[31m"),
        *("a?b", "a*b", "a|b", "'; DROP TABLE metrics; --", "%s%n", "${oc.env:HOME}"),
    ]
)
names = nasty | st.text(max_size=30) | st.text(string.punctuation, max_size=300)
values = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([-0.0, 5e-324, sys.float_info.max, float("-inf")])
times = st.integers(0, 2**41) | st.sampled_from([_NOW, _NOW - 3_600_000, _NOW + 10 * _YEAR, 0, -1, -3_600_000])
unshrunk = [Phase.explicit, Phase.reuse, Phase.generate]  # each example ships a run: shrinking one takes minutes
a_few = settings(
    phases=unshrunk,
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def settled(tracker: JournalTracker, uri: str) -> Finding:
    """Ship a run that has ended, and hold it against its journal."""
    assert shipped([tracker._folder], uri) == []
    finding = verified(tracker._folder, uri)
    assert finding.is_right, finding
    POINTS.acknowledged += finding.points
    return finding


@a_few
@given(
    rows=st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.dictionaries(names, values, min_size=1, max_size=5)), max_size=8
    ),
    told=st.dictionaries(names, names, max_size=5),
    name=names,
)
def test_names_and_values(
    rows: list[tuple[int, dict[str, float]]], told: dict[str, str], name: str, uri: str, track: Track
) -> None:
    tracker = track(uri, wait=0)
    tracker.start(Opening(name, "hostile", params=told, tags=told))
    tracker.log([Row(step, _NOW, [*pairs], [*pairs.values()]) for step, pairs in rows])
    tracker.tag(told)
    tracker.end(Status.FINISHED)
    finding = settled(tracker, uri)
    assert finding.points == sum(len(pairs) for _, pairs in rows), "names that differ stay apart"
    INJECTED["hostile names and values"] += 1


def test_a_long_param_is_kept_whole(uri: str, track: Track, tmp_path: Path) -> None:
    whole = "0123456789é🙂\n" * 80_000
    tracker = track(uri, tmp_path / "artifacts", wait=0)
    tracker.start(Opening("x", "long", params={"model.layers": whole, "../../x": whole[:7000]}))
    tracker.end(Status.FINISHED)
    finding = settled(tracker, uri)
    folder = tmp_path / "artifacts" / "long" / str(finding.run_id) / "artifacts" / "params"
    assert (folder / "model.layers.txt").read_text() == whole
    assert sorted(file.stat().st_size for file in folder.iterdir())[0] >= 7000
    assert len([*folder.iterdir()]) == 2
    INJECTED["hostile names and values"] += 1


@pytest.mark.accept
def test_a_hundred_thousand_keys(uri: str, track: Track) -> None:
    tracker = track(uri, wait=0)
    tracker.start(Opening("x", "many"))
    for start in range(0, 100_000, 20_000):
        tracker.log([Row(0, _NOW, [f"layer{number}"], [float(number)]) for number in range(start, start + 20_000)])
    tracker.end(Status.FINISHED)
    finding = settled(tracker, uri)
    points, _ = stored(uri, finding)
    assert sorted(points, key=lambda point: point[2]) == [(f"layer{number}", 0, float(number)) for number in range(100_000)]
    INJECTED["hostile names and values"] += 1


@a_few
@given(jumps=st.lists(st.tuples(times, st.integers(0, 3)), min_size=1, max_size=12), clock=times)
def test_a_clock_that_jumps(jumps: list[tuple[int, int]], clock: int, uri: str, track: Track) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: clock * 1_000_000)
        tracker = track(uri, wait=0)
        tracker.start(Opening("x", "clocks"))
        for number, (at, step) in enumerate(jumps):
            tracker.log([Row(step, at, ["a"], [float(number)]), Row(number, at, ["b"], [1.0])])
        tracker.end(Status.FINISHED)
    finding = settled(tracker, uri)
    assert finding.points == 2 * len(jumps)
    points, status = stored(uri, finding)
    assert status == "FINISHED"
    assert Counter(step for key, step, _ in points if key == "a") == Counter(step for _, step in jumps)
    INJECTED["clocks that jump"] += 1
