"""What the machine does, in a run's records: which values, when, and that nothing of it reaches who trains."""

from __future__ import annotations

import math
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.core.conftest import MakeRun
from weft.errors import ConfigError, TrackingError
from weft.execution import execute
from weft.folder import Folder
from weft.telemetry import system
from weft.telemetry.system import Sampler, recorded
from weft.telemetry.tracker import MemoryTracker, Row, Status


class Clock:
    """Waits as long as the test says: `pass_on()` lets one wait come to its end, and returns when the next one begins."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self._begun: queue.Queue[None] = queue.Queue()
        self._ends: queue.Queue[bool] = queue.Queue()

    def set(self) -> None:
        self._ends.put(True)

    def wait(self, timeout: float) -> bool:
        self.waited.append(timeout)
        self._begun.put(None)
        return self._ends.get(timeout=30)

    def await_wait(self) -> None:
        self._begun.get(timeout=30)

    def pass_on(self) -> None:
        self._ends.put(False)
        self.await_wait()


def counting() -> system.Source:
    numbers = iter(range(100))
    return lambda: {"system/x": next(numbers)}


def test_a_record_at_once_then_every_so_often_and_a_last_one_at_the_end() -> None:
    tracker, clock, steps = MemoryTracker(), Clock(), iter([0, 7, 9, 12])
    with Sampler(tracker, lambda: next(steps), 10.0, [counting], clock):
        clock.await_wait()
        assert tracker.series("system/x") == [(0, 0)]
        clock.pass_on()
        clock.pass_on()
        assert tracker.series("system/x") == [(0, 0), (7, 1), (9, 2)]
    assert tracker.series("system/x") == [(0, 0), (7, 1), (9, 2), (12, 3)]
    assert clock.waited == [10.0] * 3
    assert all(before.timestamp <= after.timestamp for before, after in zip(tracker.rows, tracker.rows[1:], strict=False))


def test_none_is_never() -> None:
    before = threading.active_count()
    with recorded(MemoryTracker(), lambda: 0, None):
        assert threading.active_count() == before


def test_the_thread_is_gone_when_the_with_is_left_by_an_error_too() -> None:
    tracker = MemoryTracker()
    with pytest.raises(ZeroDivisionError), recorded(tracker, lambda: 3, 3600.0):
        raise ZeroDivisionError
    assert [thread.name for thread in threading.enumerate() if thread.name == "weft system metrics"] == []
    assert len(tracker.rows) == 2


def test_a_reading_that_hangs_does_not_keep_the_end_and_is_not_recorded_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_PATIENCE", 0.01)
    entered, leave = threading.Event(), threading.Event()

    def hanging() -> system.Values:
        entered.set()
        leave.wait(30)
        return {"system/x": 1.0}

    tracker = MemoryTracker()
    sampler = Sampler(tracker, lambda: 0, 10.0, [lambda: hanging])
    with sampler:
        entered.wait(30)
    tracker.end(Status.FINISHED)
    leave.set()
    sampler._thread.join(30)
    assert not sampler._thread.is_alive()
    assert tracker.rows == []


def test_what_the_system_refuses_is_left_out() -> None:
    def refused() -> system.Source:
        raise psutil.AccessDenied

    def failing() -> system.Source:
        def read() -> system.Values:
            raise FileNotFoundError("/proc/net/dev")

        return read

    tracker = MemoryTracker()
    with Sampler(tracker, lambda: 0, 10.0, [refused, failing, counting]):
        pass
    assert tracker.series("system/x") == [(0, 0), (0, 1)]
    assert tracker.keys() == {"system/x"}


def test_a_machine_that_tells_nothing_records_nothing() -> None:
    tracker = MemoryTracker()
    with Sampler(tracker, lambda: 0, 10.0, []):
        pass
    assert tracker.rows == []


def test_a_tracker_that_refuses_ends_it_quietly() -> None:
    """`pytest` would turn what a thread raises into an error."""

    class Refusing(MemoryTracker):
        def log(self, rows: Sequence[Row]) -> None:
            self.rows.extend(rows)
            raise TrackingError("gone")

    tracker, clock = Refusing(), Clock()
    sampler = Sampler(tracker, lambda: 0, 10.0, [counting], clock)
    with sampler:
        sampler._thread.join(30)
        assert not sampler._thread.is_alive()
    assert len(tracker.rows) == 1


def test_a_machine_without_a_thread_to_spare_trains_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    tracker = MemoryTracker()
    with recorded(tracker, lambda: 0, 10.0):
        pass
    assert tracker.rows == []


def test_the_values_are_this_machine_s() -> None:
    tracker, clock = MemoryTracker(), Clock()
    with Sampler(tracker, lambda: 0, 10.0, stopping=clock):
        clock.await_wait()
    values = dict(zip(tracker.rows[0].keys, tracker.rows[0].values, strict=True))
    total = psutil.virtual_memory().total / 1e6
    assert 0 < values["system/system_memory_usage_megabytes"] < total
    assert values["system/system_memory_usage_percentage"] == pytest.approx(
        values["system/system_memory_usage_megabytes"] / total * 100
    )
    assert values["system/process_memory_megabytes"] == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.2)
    usage = psutil.disk_usage("/")
    assert values["system/disk_usage_megabytes"] == pytest.approx(usage.used / 1e6, rel=0.05)
    assert values["system/disk_available_megabytes"] == pytest.approx(usage.free / 1e6, rel=0.05)
    assert 0 <= values["system/disk_usage_percentage"] <= 100
    assert values["system/network_receive_megabytes"] >= 0
    assert values["system/network_transmit_megabytes"] >= 0


def test_the_names_are_mlflow_s(client: Any) -> None:
    """Collected by MLflow's own monitors: what we have beside them is about this process."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    theirs = set()
    for monitor in (CPUMonitor(), DiskMonitor(), NetworkMonitor()):
        monitor.collect_metrics()
        theirs |= {f"system/{name}" for name in monitor.metrics}
    ours = {name for make in system.SOURCES for name in make()()}
    ours.add(next(iter(_after_a_second())))
    assert theirs <= ours
    assert {name for name in ours - theirs if not name.startswith("system/process_")} == set()


def _after_a_second() -> system.Values:
    times = iter([0.0, 1.0, 1.0])
    return system.processor(lambda: next(times))()


def test_a_processor_s_use_is_a_share_of_the_time_since_the_last_record(monkeypatch: pytest.MonkeyPatch) -> None:
    shares, times = iter([0.0, 40.0, 60.0]), iter([0.0, 0.05, 5.0, 5.0, 5.01, 15.0, 15.0])
    monkeypatch.setattr(psutil, "cpu_percent", lambda: next(shares))
    read = system.processor(lambda: next(times))
    assert read() == {}
    assert read() == {"system/cpu_utilization_percentage": 40.0}
    assert read() == {}
    assert read() == {"system/cpu_utilization_percentage": 60.0}


def test_the_network_counts_from_the_first_record(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = iter([SimpleNamespace(bytes_recv=5e6, bytes_sent=1e6), SimpleNamespace(bytes_recv=7e6, bytes_sent=1.5e6)])
    monkeypatch.setattr(psutil, "net_io_counters", lambda: next(counters))
    assert system.network()() == {"system/network_receive_megabytes": 2.0, "system/network_transmit_megabytes": 0.5}


class NVMLError(Exception):
    """As pynvml's."""


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A torch that computes on the second of two GPUs, which are the other way round for NVIDIA's library."""
    stats = {0: {}, 1: {"reserved_bytes.all.current": 3_000_000, "allocated_bytes.all.current": 2_000_000}}
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 2,
        memory_stats=lambda index: stats[index],
        get_device_properties=lambda index: SimpleNamespace(uuid=f"uuid-{index}"),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    nvml = ModuleType("pynvml")
    devices = {"GPU-uuid-1": 0, "GPU-uuid-0": 1}
    nvml.NVMLError = NVMLError  # type: ignore[attr-defined]
    nvml.nvmlInit = lambda: None  # type: ignore[attr-defined]
    nvml.nvmlDeviceGetHandleByUUID = lambda uuid: devices[uuid]  # type: ignore[attr-defined]
    nvml.nvmlDeviceGetMemoryInfo = lambda device: SimpleNamespace(used=20e6 + device, total=80e6)  # type: ignore[attr-defined]
    nvml.nvmlDeviceGetUtilizationRates = lambda device: SimpleNamespace(gpu=55 + device)  # type: ignore[attr-defined]
    nvml.nvmlDeviceGetPowerUsage = lambda device: 150_000  # type: ignore[attr-defined]
    nvml.nvmlDeviceGetEnforcedPowerLimit = lambda device: 300_000  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return SimpleNamespace(cuda=cuda, nvml=nvml)


_TORCH_S = {"system/process_gpu_1_reserved_megabytes": 3.0, "system/process_gpu_1_allocated_megabytes": 2.0}


def test_a_gpu_that_torch_computes_on(two_gpus: Any) -> None:
    """And no other; its number is torch's."""
    assert system.gpus()() == {
        **_TORCH_S,
        "system/gpu_1_memory_usage_percentage": 25.0,
        "system/gpu_1_memory_usage_megabytes": 20.0,
        "system/gpu_1_utilization_percentage": 55,
        "system/gpu_1_power_usage_watts": 150.0,
        "system/gpu_1_power_usage_percentage": 50.0,
    }


def test_a_gpu_that_tells_no_power(two_gpus: Any) -> None:
    def refuse(_: int) -> int:
        raise NVMLError("Not Supported")

    two_gpus.nvml.nvmlDeviceGetPowerUsage = refuse
    found = system.gpus()()
    assert "system/gpu_1_utilization_percentage" in found
    assert [name for name in found if "power" in name] == []


def test_without_nvidia_s_library_there_is_torch_s_memory(two_gpus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert system.gpus()() == _TORCH_S


def test_cuda_is_not_woken(two_gpus: Any) -> None:
    two_gpus.cuda.is_initialized = lambda: False
    assert system.gpus()() == {}


def test_torch_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    assert system.gpus()() == {}
    assert "torch" not in sys.modules


@pytest.mark.gpu
def test_a_real_gpu() -> None:
    import torch

    kept = torch.ones(1_000_000, device="cuda:0")
    found = system.gpus()()
    assert found["system/process_gpu_0_allocated_megabytes"] >= kept.nbytes / 1e6
    assert all(math.isfinite(value) for value in found.values())


def test_a_run_has_them_from_its_first_step_to_its_last(make_run: MakeRun, tmp_path: Path) -> None:
    run, tracker = make_run(epochs=2), MemoryTracker()
    outcome = execute(run, Folder(tmp_path / "run"), tracker)
    assert outcome.status is Status.FINISHED
    steps = [step for step, _ in tracker.series("system/process_memory_megabytes")]
    assert (steps[0], steps[-1], len(steps)) == (0, run.step, 2)


def test_a_resumed_run_has_later_points(make_run: MakeRun, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    execute(make_run(epochs=1), folder, MemoryTracker())
    half = folder.record()["step"]
    run, tracker = make_run(epochs=2), MemoryTracker()
    execute(run, folder, tracker, ["epochs=2"], resume=True)
    assert [step for step, _ in tracker.series("system/process_memory_megabytes")] == [half, run.step]


def test_a_run_that_wants_none_has_none(make_run: MakeRun, tmp_path: Path) -> None:
    run, tracker = make_run(epochs=1, observe={"system": None}), MemoryTracker()
    execute(run, Folder(tmp_path / "run"), tracker)
    assert not any(key.startswith("system/") for row in tracker.rows for key in row.keys)


@pytest.mark.integration
def test_a_run_s_system_metrics_are_in_mlflow(tmp_path: Path, client: Any) -> None:
    command = [sys.executable, "-m", "weft.cli", "run", "model=linear", "epochs=2", "observe.system=0.2"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    reader = client(f"sqlite:///{tmp_path}/runs/mlflow.db")
    (run,) = reader.search_runs([reader.get_experiment_by_name("weft").experiment_id])
    points = reader.get_metric_history(run.info.run_id, "system/process_memory_megabytes")
    assert len(points) >= 2
    assert (points[0].step, points[-1].step) == (0, reader.get_metric_history(run.info.run_id, "valid/loss")[-1].step)
    assert all(run.info.start_time <= point.timestamp <= run.info.end_time for point in points)
    assert run.data.metrics["system/system_memory_usage_percentage"] > 0


@pytest.mark.parametrize("value", ["0", "-1", "often", "1e9"])
def test_a_time_that_can_not_be(value: str) -> None:
    from weft.compose import configured

    with pytest.raises(ConfigError, match="observe.system: "):
        configured([f"observe.system={value}"])


@pytest.mark.parametrize(("value", "expected"), [("5", 5.0), ("null", None), ("0.5", 0.5)])
def test_a_time_that_can_be(value: str, expected: float | None) -> None:
    from weft.compose import configured

    assert configured([f"observe.system={value}"])[0].settings.observe.system == expected
