"""What the machine does while a run trains: processor, memory, disk, network, GPUs.

The names are those that MLflow's page shows as system metrics (mlflow/system_metrics/metrics, 3.17); what this process alone
takes has names of its own. Megabytes are 10⁶ bytes, percentages go from 0 to 100, what the network has carried is counted from
the first record on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol

from weft.telemetry.tracker import Row, Tracker

log = logging.getLogger("weft")

_PATIENCE = 1.0
"""Seconds that the end of a run waits for a reading under way: a driver that hangs must not keep it."""
_SHORTEST = 0.1
"""Seconds below which a processor's use is noise: the system counts it in hundredths."""
_MEGABYTE = 1e6

Values = Mapping[str, float]
Source = Callable[[], Values]
"""Reads some values of this moment, by name; what it raises costs a record these values, and no more."""


class Stopping(Protocol):
    """What `threading.Event` does of it."""

    def set(self) -> None: ...

    def wait(self, timeout: float) -> bool: ...


def recorded(tracker: Tracker, step: Callable[[], int], every: float | None) -> contextlib.AbstractContextManager[object]:
    """Record what the machine does while a `with` lasts, every so many seconds; None is never.

    Args:
        tracker: of a run that is started, and ends after the `with`.
        step: gives the run's present step; called from another thread.
    """
    return Sampler(tracker, step, every) if every is not None else contextlib.nullcontext()


class Sampler:
    """Takes a reading at once, every so many seconds, and a last one at the end: the first of a processor's use comes with the
    second record, for it is a share of the time between two.

    A thread of its own reads, and nothing that goes wrong there reaches who trains.
    """

    def __init__(
        self,
        tracker: Tracker,
        step: Callable[[], int],
        every: float,
        sources: Iterable[Callable[[], Source]] | None = None,
        stopping: Stopping | None = None,
    ):
        self._tracker = tracker
        self._step = step
        self._every = every
        self._sources = SOURCES if sources is None else sources
        self._stopping: Stopping = stopping or threading.Event()
        self._guard = threading.Lock()
        self._is_over = False
        self._first = 0
        self._refused: set[str] = set()
        self._thread = threading.Thread(target=self._work, daemon=True, name="weft system metrics")

    def __enter__(self) -> None:
        self._first = self._step()  # training goes on while the first reading is made
        with contextlib.suppress(RuntimeError):  # a machine that has no thread left has no metrics
            self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE)
        with self._guard:
            self._is_over = True  # what a reading that hung finds later is not the run's any more

    def _work(self) -> None:
        try:
            sources = [source for make in self._sources for source in self._attempt(make)]
            self._record(sources, lambda: self._first)
            while not self._stopping.wait(self._every):
                self._record(sources, self._step)
            self._record(sources, self._step)
        except Exception as error:  # a tracker that refuses tells so to who trains as well
            log.debug("system metrics end: %s", error)

    def _record(self, sources: Iterable[Source], step: Callable[[], int]) -> None:
        values = {name: value for source in sources for found in self._attempt(source) for name, value in found.items()}
        row = Row(step(), time.time_ns() // 1_000_000, [*values], [*values.values()])
        with self._guard:
            if values and not self._is_over:
                self._tracker.log([row])

    def _attempt(self, call: Callable[[], Any]) -> tuple[Any, ...]:
        """Return what a call gives, or nothing where the system refuses it."""
        try:
            return (call(),)
        except Exception as error:
            if str(error) not in self._refused:
                self._refused.add(str(error))
                log.debug("system metrics: left out: %s", error)
            return ()


def processor(clock: Callable[[], float] = time.monotonic) -> Source:
    """Share of all processors' time that was not idle, since the record before."""
    import psutil

    psutil.cpu_percent()  # counts from here
    since = clock()

    def read() -> Values:
        nonlocal since
        if clock() - since < _SHORTEST:
            return {}
        since = clock()
        return {"system/cpu_utilization_percentage": psutil.cpu_percent()}

    return read


def memory() -> Source:
    """The machine's memory; not a container's share of it."""
    import psutil

    def read() -> Values:
        found = psutil.virtual_memory()
        return {
            "system/system_memory_usage_megabytes": found.used / _MEGABYTE,
            "system/system_memory_usage_percentage": found.used / found.total * 100,
        }

    return read


def disk() -> Source:
    """The disk that the system is on."""
    import psutil

    def read() -> Values:
        found = psutil.disk_usage(os.sep)
        return {
            "system/disk_usage_percentage": found.percent,
            "system/disk_usage_megabytes": found.used / _MEGABYTE,
            "system/disk_available_megabytes": found.free / _MEGABYTE,
        }

    return read


def network() -> Source:
    """What all network interfaces have carried since the first record."""
    import psutil

    start = psutil.net_io_counters()

    def read() -> Values:
        found = psutil.net_io_counters()
        return {
            "system/network_receive_megabytes": (found.bytes_recv - start.bytes_recv) / _MEGABYTE,
            "system/network_transmit_megabytes": (found.bytes_sent - start.bytes_sent) / _MEGABYTE,
        }

    return read


def process() -> Source:
    """This process's resident memory, without its children's."""
    import psutil

    own = psutil.Process()
    return lambda: {"system/process_memory_megabytes": own.memory_info().rss / _MEGABYTE}


def gpus() -> Source:
    """The GPUs that torch computes on in this process, numbered as torch numbers them: its own memory there, and, where
    `nvidia-ml-py` is installed, the whole device's memory, use and power. Asking costs the device nothing, and wakes none."""
    devices: dict[int, Any] = {}

    def read() -> Values:
        torch = sys.modules.get("torch")  # who has not imported it computes on nothing
        if torch is None or not torch.cuda.is_initialized():
            return {}
        found: dict[str, float] = {}
        for index in range(torch.cuda.device_count()):
            stats = torch.cuda.memory_stats(index)
            reserved = stats.get("reserved_bytes.all.current", 0)
            if reserved:
                found[f"system/process_gpu_{index}_reserved_megabytes"] = reserved / _MEGABYTE
                allocated = stats["allocated_bytes.all.current"]
                found[f"system/process_gpu_{index}_allocated_megabytes"] = allocated / _MEGABYTE
                if index not in devices:
                    devices[index] = _nvidia(f"GPU-{torch.cuda.get_device_properties(index).uuid}")
                found.update({f"system/gpu_{index}_{name}": value for name, value in devices[index]().items()})
        return found

    return read


def _nvidia(uuid: str) -> Source:
    """What NVIDIA's management library tells of a device. It has numbers of its own for devices; their UUIDs are the same."""
    try:
        import pynvml

        pynvml.nvmlInit()
        device = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    except Exception as error:  # not installed, no driver, a part of a device
        log.debug("system metrics: %s: memory only: %s", uuid, error)
        return dict

    def room() -> Values:
        found = pynvml.nvmlDeviceGetMemoryInfo(device)
        return {
            "memory_usage_percentage": found.used / found.total * 100,
            "memory_usage_megabytes": found.used / _MEGABYTE,
        }

    def use() -> Values:
        return {"utilization_percentage": pynvml.nvmlDeviceGetUtilizationRates(device).gpu}

    def power() -> Values:
        milliwatts = pynvml.nvmlDeviceGetPowerUsage(device)
        share = milliwatts / pynvml.nvmlDeviceGetEnforcedPowerLimit(device)
        return {"power_usage_watts": milliwatts / 1000, "power_usage_percentage": share * 100}

    def read() -> Values:
        found: dict[str, float] = {}
        for part in (room, use, power):
            with contextlib.suppress(pynvml.NVMLError):  # many devices tell some of it only
                found.update(part())
        return found

    return read


SOURCES: tuple[Callable[[], Source], ...] = (processor, memory, disk, network, process, gpus)
