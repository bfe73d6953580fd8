"""Calls in processes of their own: how many at once, how they end, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from weft.errors import ConfigError
from weft.sweep import process
from weft.sweep.ending import describe
from weft.sweep.process import Call
from weft.sweep.slots import Begun, Ended, Said, Slot, Slots, Task, layout

ROOT = Path(__file__).parents[3]
CPU = Slot("cpu", 1)


def call(name: str, arguments: tuple[Any, ...] = (), output: Path | None = None) -> Call:
    """Return a call of one of the functions for these tests."""
    return Call(f"tests.core.sweep.calls:{name}", arguments, output)


def until(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether a condition comes true in so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def taking(tasks: Sequence[Task]) -> Callable[[Slot], Task | None]:
    waiting = iter(tasks)
    return lambda slot: next(waiting, None)


@pytest.fixture
def slots() -> Iterator[Slots]:
    with Slots([CPU, CPU], process.context(), grace=0.5) as made:
        yield made


def one(slots: Slots, function: str, *arguments: Any, **options: Any) -> tuple[Ended, list[Any]]:
    """Make one call; return how it ended and what it said."""
    events = [*slots.run(taking([Task(call(function, arguments, options.pop("output", None)), **options)]))]
    (ended,) = [event for event in events if isinstance(event, Ended)]
    return ended, [event.message for event in events if isinstance(event, Said)]


class TestLayout:
    def test_cpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
        assert layout(["cpu"]) == [Slot("cpu", 1)] * 8
        assert layout(["cpu"], slots=2) == [Slot("cpu", 4)] * 2
        assert layout(["cpu"], slots=3) == [Slot("cpu", 2)] * 3
        assert layout(["cpu"], slots=16) == [Slot("cpu", 1)] * 16
        assert layout(["cpu"], slots=2, threads=1) == [Slot("cpu", 1)] * 2

    def test_accelerators(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
        two = ["cuda:0", "cuda:1"]
        assert layout([*two, "cpu"]) == [Slot("cuda:0", 4), Slot("cuda:1", 4)]
        assert [slot.device for slot in layout(two, share=0.5)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
        assert [slot.device for slot in layout(two, share=1 / 3)] == [*two, *two, *two]
        assert layout(two, slots=1) == [Slot("cuda:0", 8)]
        with pytest.raises(ConfigError, match="there is room for 2 on cuda:0, cuda:1; a smaller hydra.launcher.share"):
            layout(two, slots=3)


@pytest.mark.integration
class TestSlots:
    def test_no_call_waits_for_another_but_for_a_slot(self, slots: Slots, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        tasks = [Task(call("wait_for", (str(gate),)), "long")] + [Task(call("say"), number) for number in range(3)]
        seen = []
        for event in slots.run(taking(tasks)):
            if not isinstance(event, Said):
                seen.append((type(event), event.task.label))
            if seen[-1] == (Ended, 2):
                gate.touch()
        assert seen == [
            (Begun, "long"),
            *[(Begun, 0), (Ended, 0), (Begun, 1), (Ended, 1), (Begun, 2), (Ended, 2)],
            (Ended, "long"),
        ]

    def test_a_call_is_taken_for_a_slot_that_is_free(self) -> None:
        places = [Slot("cuda:0", 1), Slot("cpu", 1)]
        waiting = {"cpu": [1, 2, 3], "cuda:0": [4]}
        with Slots(places, process.context()) as slots:
            took = [
                (event.task.label, event.slot.device)
                for event in slots.run(
                    lambda slot: Task(call("say"), waiting[slot.device].pop(0)) if waiting[slot.device] else None
                )
                if isinstance(event, Ended)
            ]
        assert sorted(took) == [(1, "cpu"), (2, "cpu"), (3, "cpu"), (4, "cuda:0")]

    @pytest.mark.parametrize(
        ("function", "arguments", "code", "words"),
        [
            ("say", (), 0, ""),
            ("raise_error", (), 1, "ended with exit code 1"),
            ("leave", (3,), 3, "ended with exit code 3"),
            ("leave_at_once", (0,), 0, "ended with exit code 0"),
            ("leave_at_once", (4,), 4, "ended with exit code 4"),
            ("end_by", (int(signal.SIGKILL),), -signal.SIGKILL, "was killed (SIGKILL), as happens when memory runs out"),
            ("end_by", (int(signal.SIGTERM),), -signal.SIGTERM, "was ended by SIGTERM"),
            ("read_address_zero", (), -signal.SIGSEGV, "was ended by SIGSEGV"),
        ],
    )
    def test_ends(self, slots: Slots, tmp_path: Path, function: str, arguments: tuple[Any, ...], code: int, words: str) -> None:
        ended, _ = one(slots, function, *arguments, output=tmp_path / "log")
        assert (ended.code, ended.late, ended.stopped) == (code, False, False)
        assert not words or describe(ended) == words
        assert one(slots, "say", "next")[1] == ["next"], "the slot is free again"

    def test_what_was_said_before_a_sudden_end_is_heard(self, slots: Slots) -> None:
        assert one(slots, "end_by", int(signal.SIGKILL))[1] == ["before"]

    def test_a_message_can_be_long(self, slots: Slots) -> None:
        assert one(slots, "say", "x" * 10_000_000, 1)[1] == ["x" * 10_000_000, 1]

    def test_output_goes_to_its_file(self, slots: Slots, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        log = tmp_path / "log"
        log.write_text("before\n")
        one(slots, "print_through_child", output=log)
        assert sorted(log.read_text().splitlines()) == ["a child", "an error", "before", "itself"]
        one(slots, "raise_error", output=log)
        assert "ValueError: told to" in log.read_text()
        assert capfd.readouterr() == ("", "")

    def test_much_output(self, slots: Slots, tmp_path: Path) -> None:
        ended, _ = one(slots, "print_much", 100, output=tmp_path / "log")
        assert ended.code == 0
        assert (tmp_path / "log").stat().st_size == 100 * 2**20

    def test_what_takes_too_long_is_told_to_end(self, slots: Slots) -> None:
        ended, said = one(slots, "wait_for_interrupt", seconds=0.5)
        assert said == ["waiting", "interrupted"]
        assert (ended.code, ended.late, ended.stopped) == (0, True, False)
        assert describe(ended) == "took longer than 0.5 s"

    def test_what_does_not_listen_is_killed(self, slots: Slots) -> None:
        ended, said = one(slots, "hang", seconds=0.5)
        assert said == ["hanging"]
        assert (ended.code, ended.late) == (-signal.SIGKILL, True)

    def test_stop(self, slots: Slots) -> None:
        tasks = [Task(call("wait_for_interrupt")) for _ in range(4)]
        said, ended = [], []
        for event in slots.run(taking(tasks)):
            if isinstance(event, Said):
                said.append(event.message)
                if said == ["waiting", "waiting"]:
                    slots.stop()
            if isinstance(event, Ended):
                ended.append((event.code, event.stopped))
        assert said == ["waiting", "waiting", "interrupted", "interrupted"]
        assert ended == [(0, True), (0, True)]

    def test_kill(self, slots: Slots) -> None:
        tasks = [Task(call("wait_for_interrupt")) for _ in range(2)]
        events = []
        for event in slots.run(taking(tasks)):
            events.append(event)
            if len([event for event in events if isinstance(event, Said)]) == 2:
                slots.kill()
        assert [event.code for event in events if isinstance(event, Ended)] == [-signal.SIGKILL] * 2

    def test_what_is_under_way_at_the_end_is_killed(self) -> None:
        with Slots([CPU], process.context()) as slots:
            events = slots.run(taking([Task(call("start_child", ("hang",)))]))
            pids = next(event.message for event in events if isinstance(event, Said))
        assert all(until(lambda pid=pid: is_gone(pid)) for pid in pids)  # type: ignore[misc]

    def test_children_that_are_left_behind_end_as_well(self, slots: Slots) -> None:
        ended, ((_, child),) = one(slots, "start_child")
        assert ended.code == 0
        assert until(lambda: is_gone(child))

    def test_spawn(self) -> None:
        with Slots([CPU], process.context("spawn")) as slots:
            assert one(slots, "say", 1, "two")[1] == [1, "two"]

    def test_signals_of_the_terminal_are_for_the_parent(self, slots: Slots) -> None:
        assert one(slots, "tell_threads")[1] == [True]


_PARENT = """
from weft.sweep import process
from weft.sweep.process import Call
from weft.sweep.slots import Said, Slot, Slots, Task

process.warm()
waiting = iter([Task(Call("tests.core.sweep.calls:start_child", ("hang",)))] * 2)
for event in Slots([Slot("cpu", 1)] * 2, process.context()).run(lambda slot: next(waiting, None)):
    if isinstance(event, Said):
        print(*event.message, flush=True)
"""


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")
@pytest.mark.parametrize("victim", ["parent", "server"])
def test_nothing_outlives_its_parent(victim: str) -> None:
    """Neither the jobs nor what they have started; the server that jobs are forked from may be the one that dies."""
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    pids = [int(pid) for _ in range(2) for pid in parent.stdout.readline().split()]
    assert len(pids) == 4
    jobs = pids[::2]
    server = psutil.Process(jobs[0]).parent()
    assert server is not None
    (parent if victim == "parent" else server).kill()
    gone = pids if victim == "parent" else jobs
    try:
        assert all(until(lambda pid=pid: is_gone(pid)) for pid in gone)  # type: ignore[misc]
        assert until(lambda: is_gone(server.pid))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        for pid in pids:
            if not is_gone(pid):
                os.kill(pid, signal.SIGKILL)
