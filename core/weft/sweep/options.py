"""The options of `hydra/launcher=slots`, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from weft import options, settings
from weft.errors import ConfigError
from weft.parameters import Range
from weft.sweep.slots import Slot, layout

TARGET = "hydra_plugins.weft_launchers.slots.SlotsLauncher"
"""What Hydra knows the launcher by."""


@dataclass(frozen=True)
class SlotOptions:
    """What the launcher was told."""

    slots: Annotated[int | None, Range(1, 4096), "jobs at once"] = None
    devices: Annotated[list[str] | None, "what to compute on"] = None
    share: Annotated[float, Range(1 / 64, 1), "of an accelerator that a job takes"] = 1.0
    threads: Annotated[int | None, Range(1, 4096), "CPU threads of a job"] = None
    timeout: Annotated[float | None, Range(0.001, math.inf), "seconds that a job may take"] = None
    retries: Annotated[int, Range(0, 100), "times that a failed job is tried again"] = 0
    start: Annotated[Literal["forkserver", "spawn"], "how a job's process is started"] = "forkserver"

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> SlotOptions:
        """Return the launcher's options.

        Raises:
            ConfigError: a wrong type or range, or an unknown option; says which.
        """
        values = {name: value for name, value in given.items() if name != "_target_"}
        found = cls(**options.check(settings.options(cls), values, "hydra.launcher", "launcher slots"))
        if found.devices == []:
            raise ConfigError("hydra.launcher.devices: [] is no place to compute on; null is all there is")
        return found

    def layout(self, devices: Sequence[str]) -> list[Slot]:
        """Return the slots on these devices; see `slots.layout`."""
        return layout(devices, self.slots, self.share, self.threads)
