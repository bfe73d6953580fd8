"""How often a run is looked at: a bounded number of histograms, and a bounded share of the training time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import torch

_MOST = 128
_STRETCH = 3.0
_LOOKS = 16


class Thinning:
    """Which steps have histograms: one in each stretch of `distance` steps. When there are too many, every second goes and the
    stretches become twice as long, so that any length of run is shown in 64 to 128 of them. It follows from the steps alone."""

    def __init__(self, distance: int, steps: Sequence[int] = ()):
        self.distance = distance
        self.steps = list(steps)

    def take(self, step: int) -> bool:
        """Whether this step is to have them; if so, it is noted."""
        if self.steps and step // self.distance == self.steps[-1] // self.distance:
            return False
        self.steps.append(step)
        if len(self.steps) > _MOST:
            self.widen()
        return self.steps[-1] == step

    def widen(self) -> None:
        """Make the stretches twice as long."""
        self.distance *= 2
        stretches = {kept // self.distance: kept for kept in reversed(self.steps)}
        self.steps = sorted(stretches.values())


class Timer(Protocol):
    """Adds up the time that is spent inside of it."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def take(self) -> float:
        """Return the seconds since the last time."""
        ...


class HostTimer:
    """Of a program that computes where it runs."""

    def __init__(self) -> None:
        self._spent = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._spent += time.perf_counter() - self._began

    def take(self) -> float:
        spent, self._spent = self._spent, 0.0
        return spent


class CudaTimer(HostTimer):
    """Of a GPU too: by events in its queue, which are read when they have passed. Host and device work side by side, so what
    counts is the longer of the two."""

    def __init__(self) -> None:
        super().__init__()
        self._pairs: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def __enter__(self) -> None:
        super().__enter__()
        self._start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._start.record()

    def __exit__(self, *_: object) -> None:
        end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end.record()
        self._pairs.append((self._start, end))
        super().__exit__()

    def take(self) -> float:
        passed = [pair for pair in self._pairs if pair[1].query()]  # type: ignore[no-untyped-call]
        self._pairs = self._pairs[len(passed) :]
        return max(super().take(), sum(float(start.elapsed_time(end)) for start, end in passed) / 1000)


def timer(device: torch.device) -> Timer:
    """Return a timer of what is computed on this device. Of other accelerators than CUDA's it counts the host's time."""
    return CudaTimer() if device.type == "cuda" else HostTimer()


class Budget:
    """Keeps looking below a share of the training time, by multiplying the distance between looks.

    It judges stretches of three seconds of training or more with sixteen looks or more, the first looks aside: they pay for
    what is done once. So a run of some seconds is looked at as often as was asked. When looking has become cheap, as it does
    when histograms have become rare, the distance is halved again: at less than a third of the share.
    """

    def __init__(self, share: float):
        self.share = share
        self.factor = 1
        self._spent, self._training, self._looks = 0.0, 0.0, 0
        self._is_warm = False

    def settle(self, spent: float, training: float, looks: int) -> bool:
        """Take what looking and training have taken in seconds since the last time, the one within the other; return whether
        the distance has changed."""
        if not self._is_warm:
            self._is_warm = looks > 0
            return False
        self._spent, self._training, self._looks = self._spent + spent, self._training + training, self._looks + looks
        if self._training < _STRETCH or self._looks < _LOOKS:
            return False
        before, excess = self.factor, self._spent / (self.share * max(self._training - self._spent, 1e-9))
        self._spent, self._training, self._looks = 0.0, 0.0, 0
        while excess > 1:
            self.factor, excess = self.factor * 2, excess / 2
        if excess < 1 / 3 and self.factor == before > 1:
            self.factor //= 2
        return self.factor != before
