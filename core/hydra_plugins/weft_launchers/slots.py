"""hydra/launcher=slots. All that it does is done in weft: Hydra runs this file anew with every scan for plugins."""

# No `from __future__ import annotations`: Hydra executes this module before it is in sys.modules, where a dataclass would look
# its annotations up.
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class SlotsConf:
    """Each job in a process of its own."""

    _target_: str = "hydra_plugins.weft_launchers.slots.SlotsLauncher"
    # jobs at once; null: one a core, or as many as the accelerators have room for
    slots: int | None = None
    # what to compute on: [cpu], [cuda:0,cuda:1]; null: every accelerator there is, else the CPU
    devices: list[str] | None = None
    # of an accelerator that a job takes: 0.5 puts two on each
    share: float = 1.0
    # CPU threads of a job; null: the cores are shared out
    threads: int | None = None
    # seconds that a job may take; null: as long as it likes
    timeout: float | None = None
    # times that a failed job is tried again
    retries: int = 0
    # forkserver, or spawn: a new interpreter for each job
    start: str = "forkserver"


ConfigStore.instance().store(group="hydra/launcher", name="slots", node=SlotsConf, provider="weft")


class SlotsLauncher(Launcher):
    """Runs the jobs of any Hydra app in slots."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from weft.sweep import launching

        return launching.launch(
            self.options, self.hydra_context, self.task_function, self.config, job_overrides, initial_job_idx
        )
