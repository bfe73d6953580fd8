"""The same budget for each value that is compared."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.errors import ConfigError
from weft.sweep.budget import Budget, chosen, read, value
from weft.sweep.ledger import Job, State
from weft.sweep.scheduling import Queue
from weft.sweep.slots import Slot

CPU = Slot("cpu", 1)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (20, Budget("optimizer", jobs=20)),
        ("20", Budget("optimizer", jobs=20)),
        ("600s", Budget("optimizer", seconds=600)),
        ("1.5h", Budget("optimizer", seconds=5400)),
        ("30m", Budget("optimizer", seconds=1800)),
    ],
)
def test_what_it_can_be(given: int | str, found: Budget) -> None:
    assert read("optimizer", given) == found
    assert read(None, None) is None


@pytest.mark.parametrize(
    ("compare", "budget", "message"),
    [
        (None, 20, "sweep.budget: 20 of what?"),
        ("optimizer", None, "sweep.compare=optimizer: give each its budget with sweep.budget=20"),
        (
            "optimizer",
            "a lot",
            "sweep.budget: 'a lot' is none; it could be a number of jobs, as 20, or a time, as 600s, 30m, 2h",
        ),
        ("optimizer", "0s", "sweep.budget: '0s' is none"),
        ("optimizer", "1.5", "sweep.budget: '1.5' is none"),
    ],
)
def test_what_it_can_t_be(compare: str | None, budget: int | str | None, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(compare, budget)
    assert str(caught.value).startswith(message)


def test_the_last_word_counts() -> None:
    assert value("optimizer", ["optimizer=sgd", "optimizer.lr=1", "optimizer=adam"]) == "adam"
    assert value("optimizer", ["optimizer.lr=1"]) is None


@given(
    st.lists(st.tuples(st.sampled_from(["sgd", "adam", "muon"]), st.integers(0, 30)), min_size=1, unique=True),
    st.integers(1, 12),
)
def test_each_value_has_as_many_jobs_as_any_other(pairs: list[tuple[str, int]], most: int) -> None:
    jobs = [(f"optimizer={name}", f"seed={seed}") for name, seed in pairs]
    kept = [job for job, is_kept in zip(jobs, chosen(Budget("optimizer", jobs=most), jobs), strict=True) if is_kept]
    counts = Counter(name for name, _ in kept)
    there = Counter(f"optimizer={name}" for name, _ in pairs)
    assert set(counts.values()) == {min(most, *there.values())}
    assert set(counts) == set(there)
    backwards = chosen(Budget("optimizer", jobs=most), jobs[::-1])
    assert {job for job, is_kept in zip(jobs[::-1], backwards, strict=True) if is_kept} == set(kept), "drawn by what they are"


def test_what_is_compared_must_vary() -> None:
    with pytest.raises(ConfigError, match="no job says optimizer=…"):
        chosen(Budget("optimizer", jobs=1), [("seed=1",)])


def test_a_time_that_is_spent_leaves_the_other_its_own() -> None:
    jobs = [Job(number, str(number), (f"model={'ab'[number % 2]}",), {"device": "auto"}) for number in range(6)]
    queue = Queue(jobs, budget=Budget("model", seconds=10))
    first, second = queue.take(CPU), queue.take(CPU)
    assert first is not None
    assert second is not None
    queue.ended(first, 10.0)
    queue.ended(second, 4.0)
    third = queue.take(CPU)
    assert third is not None
    assert third.overrides == ("model=b",)
    queue.ended(third, 6.0)
    assert queue.take(CPU) is None
    assert [job.number for job in queue.unaffordable] == [2, 4, 5]


def test_a_job_that_failed_is_tried_again_as_often_as_it_may() -> None:
    queue = Queue([Job(0, "0", (), {"device": "auto"})], retries=2)
    taken = 0
    while (job := queue.take(CPU)) is not None:
        taken += 1
        queue.ended(Job(job.number, job.identity, (), job.config, State.FAILED), 1.0)
    assert taken == 3


@pytest.mark.parametrize(
    ("device", "slot", "accelerators", "does"),
    [
        ("auto", "cpu", False, True),
        ("auto", "cpu", True, False),
        ("auto", "cuda:1", True, True),
        ("cpu", "cpu", True, True),
        ("cpu", "cuda:0", True, False),
        ("cuda", "cuda:1", True, True),
        ("cuda:1", "cuda:1", True, True),
        ("cuda:1", "cuda:0", True, False),
        ("mps", "mps", True, True),
        ("cuda", "cpu", False, False),
    ],
)
def test_a_job_waits_for_a_slot_of_its_device(device: str, slot: str, accelerators: bool, does: bool) -> None:
    queue = Queue([Job(0, "0", (), {"device": device})], accelerators=accelerators)
    assert (queue.take(Slot(slot, 1)) is not None) == does
