"""Trainers that faults befall, one store for a file of tests, and the count of all faults at the end of the tests' output."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.core.telemetry.faults.injection import Forges, is_struck, lacks_mounts, lacks_strace
from tests.core.telemetry.faults.oracle import Round, Verdict, judge

INJECTED: Counter[str] = Counter()
POINTS = Verdict()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many faults there were."""
    if INJECTED:
        terminalreporter.section("injected faults")
        for what, count in sorted(INJECTED.items()):
            terminalreporter.line(f"{count:6} {what}")
        points = f"{POINTS.acknowledged} points acknowledged, {POINTS.lost} lost, {POINTS.doubled} doubled"
        terminalreporter.line(f"{INJECTED.total():6} in all: {points}")


@pytest.fixture(scope="session")
def forges() -> Iterator[Forges]:
    """Trainers, two at a time."""
    made = Forges()
    yield made
    made.close()


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory, template: Path) -> str:
    """A store that the tests of a file share."""
    path = tmp_path_factory.mktemp("faults") / "mlflow.db"
    shutil.copy(template, path)
    return f"sqlite:///{path}"


Settle = Callable[..., Verdict]


@pytest.fixture
def settle(uri: str) -> Settle:
    """Judge rounds, and count their faults: `settle("kill -9 at a write", rounds)`. Nothing may be wrong."""

    def count(what: str, rounds: Sequence[Round], damaged: bool = False) -> Verdict:
        verdict = judge(rounds, uri, damaged)
        INJECTED[what] += sum(not done.job.strace or is_struck(done) or done.code == -9 for done in rounds)
        POINTS.acknowledged += verdict.acknowledged
        POINTS.lost += verdict.lost
        POINTS.doubled += verdict.doubled
        assert not verdict.wrong, "\n".join(verdict.wrong[:5])
        assert (verdict.lost, verdict.doubled) == (0, 0)
        return verdict

    return count


@pytest.fixture
def _strace() -> None:
    """Skip where there is no strace."""
    if why := lacks_strace():
        pytest.skip(why)


@pytest.fixture
def _mounts() -> None:
    """Skip where nothing can be mounted."""
    if why := lacks_mounts():
        pytest.skip(why)
