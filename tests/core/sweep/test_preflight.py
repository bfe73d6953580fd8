"""What makes jobs one, what makes them alike, and what a plan makes of what was done before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from weft import configuration
from weft.catalog import catalog
from weft.configuration import Configuration
from weft.experiment import prepare
from weft.sweep import preflight, process
from weft.sweep.identity import identity, likeness, made_of
from weft.sweep.ledger import State
from weft.sweep.preflight import Candidate, Verdict, placed, plan
from weft.sweep.slots import Slot, Slots
from weft.sweep.words import Facts

FACTS = Facts("d1", "cpu", 1, "2.13.0", 10, 1000, 0.1, 5, "min:valid/loss", {"weft:a": "1"})


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    catalog.cache_clear()
    yield
    catalog.cache_clear()


def wanted(**values: Any) -> Configuration:
    tree = {"dataset": "iris", "model": "mlp", "optimizer": "sgd", **values}
    return configuration.read(tree, catalog())


def verdict(facts: Facts | None = FACTS, reason: str = "", doubt: str = "", **values: Any) -> Verdict:
    made = wanted(**values)
    overrides = tuple(f"{key}={value}" for key, value in values.items())
    return Verdict(Candidate(overrides, made), likeness(made), facts, reason, doubt)


class TestIdentity:
    @pytest.mark.parametrize(
        "values",
        [
            {"name": "other"},
            {"tags": {"a": "b"}},
            {"tracking": {"experiment": "other"}},
            {"telemetry": {"wait": 3.0}},
            {"sweep": {"name": "other"}},
            {"runs": "elsewhere"},
            {"reference": {"score": "test/loss", "at_most": 1.0}},
        ],
    )
    def test_what_only_says_where_it_is_recorded_does_not_count(self, values: dict[str, Any]) -> None:
        assert identity(wanted(**values), "d") == identity(wanted(), "d")
        assert likeness(wanted(**values)) == likeness(wanted())

    @pytest.mark.parametrize(
        "values",
        [
            {"seed": 1},
            {"epochs": 3},
            {"threads": 2},
            {"device": "cpu"},
            {"observe": {"every": 1}},
            {"optimizer": {"name": "sgd", "lr": 0.5}},
            {"model": {"name": "mlp", "activation": "tanh"}},
            {"regularizer": {"l2": {"name": "l2"}}},
        ],
    )
    def test_all_else_does(self, values: dict[str, Any]) -> None:
        assert identity(wanted(**values), "d") != identity(wanted(), "d")
        assert made_of(wanted(**values).tree()) != made_of(wanted().tree())
        assert identity(wanted(), "d") != identity(wanted(), "e")


class TestLikeness:
    @pytest.mark.parametrize(
        "values",
        [{"seed": 1}, {"epochs": 3}, {"steps": 7}, {"observe": {"every": 1}}, {"optimizer": {"name": "sgd", "lr": 0.5}}],
    )
    def test_numbers_that_decide_nothing(self, values: dict[str, Any]) -> None:
        assert likeness(wanted(**values)) == likeness(wanted())

    @pytest.mark.parametrize(
        "values",
        [
            {"model": {"name": "mlp", "width": 8}},
            {"model": "linear"},
            {"optimizer": "adam"},
            {"optimizer": {"name": "sgd", "momentum": 0.9}},  # it was zero, which Nesterov's refuses
            {"batch_size": 8},
            {"device": "cuda"},
            {"precision": "bf16"},
            {"accumulate": 2},
            {"dataset": "wine"},
            {"split_seed": 1},
        ],
    )
    def test_what_may_decide(self, values: dict[str, Any]) -> None:
        assert likeness(wanted(**values)) != likeness(wanted())


class TestPlan:
    def test_a_first_one(self) -> None:
        made = plan([verdict(seed=0), verdict(seed=1, reason="no", facts=None), verdict(seed=2, doubt="slow", facts=None)], [])
        assert [(one.job.number, one.job.state, one.is_due) for one in made.jobs] == [
            (0, State.PLANNED, True),
            (1, State.SKIPPED, False),
            (2, State.PLANNED, True),
        ]
        assert made.jobs[1].job.reason == "no"
        assert not made.superseded
        assert not made.changes

    def test_a_job_that_is_asked_for_twice_is_one(self) -> None:
        assert len(plan([verdict(seed=0), verdict(seed=0, name="other")], []).jobs) == 1

    @pytest.mark.parametrize(
        ("before", "after", "due"),
        [
            (State.FINISHED, State.FINISHED, False),
            (State.FAILED, State.FAILED, True),
            (State.INTERRUPTED, State.INTERRUPTED, True),
            (State.RUNNING, State.RUNNING, True),
            (State.PLANNED, State.PLANNED, True),
            (State.SKIPPED, State.PLANNED, True),
        ],
    )
    def test_what_was_done(self, before: State, after: State, due: bool) -> None:
        (first,) = plan([verdict()], []).jobs
        again = plan([verdict(seed=1), verdict()], [replace(first.job, number=7, state=before)])
        new, old = again.jobs
        assert (new.job.number, new.job.state) == (8, State.PLANNED)
        assert (old.job.number, old.job.state, old.is_due) == (7, after, due)

    def test_other_data_makes_another_job(self) -> None:
        (first,) = plan([verdict()], []).jobs
        done = replace(first.job, state=State.FINISHED)
        made = plan([verdict(replace(FACTS, digest="d2"))], [done])
        assert [(one.job.number, one.job.state) for one in made.jobs] == [(1, State.PLANNED)]
        assert [(job.number, job.state, job.reason) for job in made.superseded] == [(0, State.SUPERSEDED, "by job 1")]
        assert made.changes == ("job 0: its data has changed (digest d1, now d2): it is done anew, as job 1",)
        again = plan([verdict(replace(FACTS, digest="d2"))], [*made.superseded, *(one.job for one in made.jobs)])
        assert not again.superseded
        assert [one.job.number for one in again.jobs] == [1]

    def test_what_may_change_last_bits_is_said(self) -> None:
        (first,) = plan([verdict()], []).jobs
        done = replace(first.job, state=State.FINISHED)
        now = replace(FACTS, threads=2, torch="3.0", code={"weft:a": "2", "weft:b": "3"})
        made = plan([verdict(now)], [done])
        assert [one.job.state for one in made.jobs] == [State.FINISHED]
        assert made.changes == (
            "torch was 2.13.0 when jobs of this sweep were done, and is 3.0",
            "threads was 1 when jobs of this sweep were done, and is 2",
            "the code of weft:a has changed since jobs of this sweep were done; what is done stays done: for all of it anew "
            "choose another sweep.name",
        )

    def test_data_that_can_t_be_looked_at_now_is_taken_for_what_it_was(self) -> None:
        (first,) = plan([verdict()], []).jobs
        done = replace(first.job, state=State.FINISHED)
        for unseen in (verdict(None, doubt="slow"), verdict(None, reason="no")):
            made = plan([unseen], [done])
            assert [one.job for one in made.jobs] == [done]
            assert not made.superseded


def test_a_job_that_leaves_its_device_open_computes_where_its_slot_is() -> None:
    tree = {"device": "auto", "seed": 0}
    assert placed(tree, Slot("cuda:1", 1))["device"] == "cuda:1"
    assert placed({"device": "cuda"}, Slot("cuda:1", 1))["device"] == "cuda:1"
    assert placed({"device": "cpu"}, Slot("cuda:1", 1))["device"] == "cpu"
    assert placed({"device": "cuda"}, Slot("cpu", 1))["device"] == "cuda"


@pytest.mark.integration
def test_jobs_that_are_alike_are_tried_once() -> None:
    jobs = [wanted(seed=seed, optimizer={"name": "sgd", "lr": lr}) for seed in range(3) for lr in (0.1, 0.2)]
    jobs += [wanted(model="cnn"), wanted(optimizer={"name": "sgd", "nesterov": True})]
    told: list[tuple[int, int]] = []
    with Slots([Slot("cpu", 1)] * 2, process.context()) as slots:
        found = preflight.check(
            [Candidate((str(number),), job) for number, job in enumerate(jobs)],
            slots,
            60,
            {},
            lambda done, of: told.append((done, of)),
        )
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert [bool(one.facts) for one in found] == [True] * 6 + [False] * 2
    facts = found[0].facts
    assert facts is not None
    assert facts.parameters == sum(parameter.numel() for parameter in prepare(jobs[0], catalog()).model.parameters())
    assert facts.steps_an_epoch == 2
    assert facts.memory > 0
    assert facts.objective == "min:valid/loss"
    assert facts.step_seconds is not None
    assert "weft:weft_basics.models.mlp" in facts.code
    assert facts.seconds(jobs[0]) == pytest.approx(20 * 2 * facts.step_seconds)
    assert found[6].reason.startswith("model=cnn: cnn takes images of shape")
    assert "Nesterov momentum requires a momentum" in found[7].reason


@pytest.mark.integration
def test_a_try_that_takes_too_long_is_in_doubt() -> None:
    with Slots([Slot("cpu", 1)], process.context(), grace=0.1) as slots:
        (found,) = preflight.check([Candidate((), wanted())], slots, 0.001, {})
    assert (found.facts, found.reason) == (None, "")
    assert found.doubt == "a step took longer than 0.001 s to try"
