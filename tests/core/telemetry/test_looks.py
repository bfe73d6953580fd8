"""What looks have found comes back as it was, whatever cuts the file off."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from weft.telemetry.histograms import SMALLEST
from weft.telemetry.looks import FILE, STATISTICS, Forgetting, Found, Looks, Subject, trimmed

TWO = Subject(("a", "b"), (4, 6), ("a", "b"))
OTHER = Subject(("b", "c", "d"), (6, 2, 2), ("b", "rest", "rest"))


def found(subject: Subject, steps: list[int], counted: list[int], seed: int = 0) -> Found:
    """Return what might have been found, the same for the same seed."""
    draw = np.random.default_rng(seed)
    shape = (len(counted), 3, len(subject.labels))
    within, first = trimmed(np.pad(draw.integers(0, 300, (*shape, 2, 5)), [(0, 0)] * 4 + [(100 + seed, 150 - seed)]))
    zeros, nonfinite = draw.integers(0, 9, shape), draw.integers(0, 9, shape)
    statistics = draw.uniform(0, 4, (len(steps), 5, len(subject.parameters)))
    return Found(np.array(steps), statistics, np.array(counted, dtype=np.int64), within, first, zeros, nonfinite)


def test_what_was_added_is_read(tmp_path: Path) -> None:
    looks, first, second = Looks(tmp_path), found(TWO, [1, 50], [1, 50]), found(TWO, [100, 150], [100], seed=3)
    looks.add(TWO, first)
    looks.add(TWO, second)
    record = Looks(tmp_path).read([1, 50, 100])
    assert record is not None
    assert (record.parameters, record.series, record.sizes) == (["a", "b"], ["a", "b"], [4, 6])
    assert record.steps.tolist() == [1, 50, 100, 150]
    assert record.histogram_steps.tolist() == [1, 50, 100]
    assert record.exponents.tolist() == [*range(100 + SMALLEST, 108 + SMALLEST)]
    assert record.counts[:2, ..., :5].tolist() == first.counts.swapaxes(1, 2).tolist()
    assert record.counts[2:, ..., 3:].tolist() == second.counts.swapaxes(1, 2).tolist()
    assert record.zeros.tolist() == np.concatenate([first.zeros, second.zeros]).swapaxes(1, 2).tolist()
    assert record.nonfinite.tolist() == np.concatenate([first.nonfinite, second.nonfinite]).swapaxes(1, 2).tolist()
    assert set(record.statistics) == set(STATISTICS)
    raw = np.concatenate([first.statistics, second.statistics]).astype(np.float32)
    assert record.statistics["grad_norm"].tolist() == raw[:, 0].tolist()
    assert record.statistics["grad_zeros"].tolist() == pytest.approx(1 - raw[:, 1] / [4, 6])
    assert record.statistics["grad_nonfinite"].tolist() == pytest.approx(raw[:, 2] / [4, 6])
    assert record.statistics["update_ratio"].tolist() == pytest.approx(raw[:, 4] / raw[:, 3])


def test_only_the_histograms_that_are_asked_for_are_read(tmp_path: Path) -> None:
    looks = Looks(tmp_path)
    looks.add(TWO, found(TWO, [1, 2, 3], [1, 2, 3]))
    record = looks.read([1, 3])
    assert record is not None
    assert record.histogram_steps.tolist() == [1, 3]
    assert record.steps.tolist() == [1, 2, 3]


def test_other_parameters_have_their_own_place(tmp_path: Path) -> None:
    looks, first, second = Looks(tmp_path), found(TWO, [1], [1]), found(OTHER, [2], [2])
    looks.add(TWO, first)
    looks.add(OTHER, second)
    looks.add(OTHER, found(OTHER, [3], []))
    record = looks.read([1, 2])
    assert record is not None
    assert record.parameters == ["a", "b", "c", "d"]
    assert record.series_of == ["a", "b", "rest", "rest"]
    assert record.series == ["a", "b", "rest"]
    norms = record.statistics["grad_norm"]
    assert np.isnan(norms).tolist() == [[False, False, True, True], [True, False, False, False], [True, False, False, False]]
    assert record.counts[0, :2].tolist() == first.counts[0].swapaxes(0, 1).tolist()
    assert record.counts[1, 1:].tolist() == second.counts[0].swapaxes(0, 1).tolist()
    assert not record.counts[1, 0].any()


def test_a_file_that_is_cut_off_anywhere_yields_what_is_whole_and_is_gone_on_with(tmp_path: Path) -> None:
    looks = Looks(tmp_path)
    for step in range(1, 5):
        looks.add(TWO, found(TWO, [step], [step], seed=step))
    whole = (tmp_path / FILE).read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / FILE).write_bytes(whole[:length])
        again = Looks(tmp_path)
        before = again.read(range(9))
        kept = [] if before is None else before.steps.tolist()
        assert kept == [*range(1, len(kept) + 1)]
        again.begin(9)
        again.add(TWO, found(TWO, [9], [9]))
        after = again.read(range(10))
        assert after is not None
        assert after.steps.tolist() == [*kept, 9]
        assert after.histogram_steps.tolist() == [*kept, 9]


def test_what_came_after_a_checkpoint_is_dropped(tmp_path: Path) -> None:
    looks = Looks(tmp_path)
    looks.begin(0)
    assert not (tmp_path / FILE).exists()
    looks.add(TWO, found(TWO, [1, 2, 3], [1, 3]))
    looks.add(TWO, found(TWO, [4], [4]))
    looks.begin(2)
    record = looks.read(range(9))
    assert record is not None
    assert record.steps.tolist() == [1, 2]
    assert record.histogram_steps.tolist() == [1]
    looks.begin(0)
    record = looks.read(range(9))
    assert record is None or not len(record.steps)


def test_a_disk_that_fails_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    looks = Looks(tmp_path / "gone")
    with caplog.at_level(logging.WARNING, logger="weft"):
        looks.add(TWO, found(TWO, [1], [1]))
        (tmp_path / "gone").mkdir()
        looks.add(TWO, found(TWO, [2], [2]))
    assert len(caplog.records) == 1
    assert "histograms are not kept" in caplog.text
    assert looks.read([1, 2]) is None


def test_without_a_folder_nothing_is_kept() -> None:
    keeper = Forgetting()
    keeper.begin(0)
    keeper.add(TWO, found(TWO, [1], [1]))
    assert keeper.read([1]) is None


def test_a_foreign_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"something else")
    assert Looks(tmp_path).read([1]) is None
    with open(tmp_path / FILE, "wb") as file:
        np.save(file, np.arange(3))
    assert Looks(tmp_path).read([1]) is None
