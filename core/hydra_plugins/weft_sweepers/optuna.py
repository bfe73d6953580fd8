"""hydra/sweeper=optuna. All that it does is done in weft: Hydra runs this file anew with every scan for plugins.

hydra-optuna-sweeper has the same name for its own. It needs Optuna 2, and this one 5 or later: no installer puts both into one
environment. Where both are there nevertheless, the one that Hydra scans last has the name: this one, unless the other's folder
is later on sys.path.
"""

# No `from __future__ import annotations`: Hydra executes this module before it is in sys.modules, where a dataclass would look
# its annotations up.
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class OptunaConf:
    """A search: each job is chosen by how those before turned out."""

    _target_: str = "hydra_plugins.weft_sweepers.optuna.OptunaSweeper"
    # jobs in all, with those that failed
    n_trials: int = 20
    # jobs in a batch, where the launcher takes batches
    n_jobs: int = 2
    # tpe, random or quasi_random
    sampler: str = "tpe"
    # none, median or asha: what ends jobs early that tell how they are getting on
    pruner: str = "none"
    # of the proposals
    seed: int = 0
    # minimize or maximize; null: the objective's own, else minimize
    direction: str | None = None
    # share of a batch that may fail; beyond it, the sweep ends with the error
    max_failure_rate: float = 1.0
    # overrides to sweep over, before those of the command line: {optimizer.lr: 'tag(log,interval(1e-4,1e-1))'}
    params: dict[str, str] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaConf, provider="weft")


class OptunaSweeper(Sweeper):
    """Searches with Optuna, in any Hydra app whose task returns a number."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from hydra.core.plugins import Plugins

        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from weft.sweep import searching

        searching.sweep(self.options, self.hydra_context.config_loader, self.launcher, self.config, arguments)
