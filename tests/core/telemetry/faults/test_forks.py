"""Row 33: workers that a DataLoader forks, and that log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from tests.core.telemetry.conftest import Track, begun
from tests.core.telemetry.faults.conftest import INJECTED, POINTS
from tests.core.telemetry.faults.oracle import integrity, shipped, stored, verified
from weft.errors import TrackingError
from weft.telemetry.recording import JournalTracker
from weft.telemetry.tracker import Opening, Row, Status

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("unshipped")]


class Logging(Dataset[Any]):
    """Samples, each of which is logged by who loads it."""

    def __init__(self, tracker: JournalTracker, own: Path | None = None, quiet: bool = False):
        self.tracker, self.own, self.quiet = tracker, own, quiet

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        tracker = self.tracker
        if self.own is not None:
            tracker = JournalTracker(self.own / f"{os.getpid()}.{index}", tracker._spool.uri, wait=0)
            tracker.start(Opening("worker", "forks"))
        try:
            tracker.log([Row(index, 1, ["worker"], [float(index)])])
        except TrackingError:
            if not self.quiet:
                raise
        if self.own is not None:
            tracker.end(Status.FINISHED)
        return torch.tensor([index, os.getpid()])


def load(data: Logging) -> set[int]:
    """Return the processes that loaded."""
    workers = DataLoader(data, num_workers=2, multiprocessing_context="fork")
    return {int(pid) for batch in workers for pid in batch[:, 1]}


@pytest.fixture
def parent(uri: str, track: Track) -> JournalTracker:
    return begun(track(uri, wait=0), "forks")


def settle(parent: JournalTracker, uri: str) -> None:
    """Check that the parent's journal has its own points, and no other."""
    parent.log([Row(step, 1, ["parent"], [float(step)]) for step in range(100, 200)])
    parent.end(Status.FINISHED)
    assert integrity(parent._begun().path) == []
    assert shipped([parent._folder], uri) == []
    finding = verified(parent._folder, uri)
    assert finding.is_right, finding
    assert sorted(stored(uri, finding)[0]) == [("parent", step, float(step)) for step in range(200)]
    POINTS.acknowledged += 200
    INJECTED["forks that log"] += 2


def test_a_worker_that_logs_is_told_that_it_may_not(parent: JournalTracker, uri: str) -> None:
    parent.log([Row(step, 1, ["parent"], [float(step)]) for step in range(100)])
    with pytest.raises(TrackingError, match="a run is reported by the process that started it, not by its forks"):
        load(Logging(parent))
    settle(parent, uri)


def test_workers_that_try_leave_the_run_as_it_is(parent: JournalTracker, uri: str) -> None:
    parent.log([Row(step, 1, ["parent"], [float(step)]) for step in range(100)])
    pids = load(Logging(parent, quiet=True))
    assert len(pids) == 2
    assert os.getpid() not in pids
    settle(parent, uri)


def test_workers_may_have_runs_of_their_own(parent: JournalTracker, uri: str, tmp_path: Path) -> None:
    parent.log([Row(step, 1, ["parent"], [float(step)]) for step in range(100)])
    load(Logging(parent, own=tmp_path / "own"))
    settle(parent, uri)
    folders = [*(tmp_path / "own").iterdir()]
    assert len(folders) == 8
    assert shipped(folders, uri) == []
    for folder in folders:
        finding = verified(folder, uri)
        assert (finding.is_right, finding.points) == (True, 1)
