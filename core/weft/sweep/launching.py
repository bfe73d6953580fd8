"""Jobs of any Hydra app in slots: what `hydra/launcher=slots` does where Hydra's sweepers call it.

weft's own sweeps go by `multirun`, which composes each job once and keeps a ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from weft.sweep import process
from weft.sweep.ending import describe
from weft.sweep.options import SlotOptions
from weft.sweep.process import Call, Tell
from weft.sweep.slots import Ended, Said, Slot, Slots, Task

log = logging.getLogger(__name__)


class JobError(RuntimeError):
    """A job's process ended before the job did."""


def launch(
    options: Mapping[str, Any],
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first: int,
) -> list[JobReturn]:
    """Run each list of overrides as a job, numbered from `first`; return what they returned, in their order.

    Raises:
        ConfigError: options that can't be.
        KeyboardInterrupt: Ctrl-C; the jobs were told to end.
    """
    wanted = SlotOptions.read(options)
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    # Its functions and classes may be of the main program, or made in a function: cloudpickle takes them by value.
    app = cloudpickle.dumps((hydra_context, config, task_function, Singleton.get_state()))
    waiting = iter([*enumerate(job_overrides, first)])
    places = wanted.layout(wanted.devices or ["cpu"])
    returned: dict[int, JobReturn] = {}

    def take(slot: Slot) -> Task | None:
        for number, overrides in waiting:
            log.info("\t#%d : %s", number, " ".join(filter_overrides([*overrides])))
            variables = {"CUDA_VISIBLE_DEVICES": slot.device.partition(":")[2]} if slot.device.startswith("cuda") else {}
            variables["OMP_NUM_THREADS"] = str(slot.threads)
            call = Call(f"{__name__}:perform", (app, [*overrides], number), environment=variables)
            return Task(call, number, wanted.timeout)
        return None

    log.info("Launching %d jobs in %d slots", len(job_overrides), len(places))
    with Slots(places, process.context(wanted.start)) as slots:
        for event in slots.run(take):
            if isinstance(event, Said):
                returned[event.task.label] = cloudpickle.loads(event.message)
            elif isinstance(event, Ended) and event.task.label not in returned:
                returned[event.task.label] = _lost(event, job_overrides[event.task.label - first])
    return [returned[number] for number, _ in enumerate(job_overrides, first)]


def _lost(ended: Ended, overrides: Sequence[str]) -> JobReturn:
    """Return what stands for the return of a job that never returned."""
    error = JobError(f"job #{ended.task.label}: its process {describe(ended)}")
    log.error("%s", error)
    return JobReturn(overrides=[*overrides], status=JobStatus.FAILED, _return_value=error)


def perform(tell: Tell, app: bytes, overrides: list[str], number: int) -> None:
    """Run one job, in its own process, as Hydra's own launchers do."""
    setup_globals()
    hydra_context, config, task_function, singletons = cloudpickle.loads(app)
    Singleton.set_state(singletons)
    try:
        job = hydra_context.config_loader.load_sweep_config(config, overrides)
        with open_dict(job):
            job.hydra.job.id = job.hydra.job.num = number
        HydraConfig.instance().set_config(job)
        done = run_job(
            hydra_context=hydra_context,
            config=job,
            task_function=task_function,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except Exception as error:
        done = JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=error)
    tell(_pickled(done))


def _pickled(done: JobReturn) -> bytes:
    try:
        return bytes(cloudpickle.dumps(done))
    except Exception as error:  # what it returned stays where it is
        done._return_value = JobError(f"what the job returned can't be sent to another process: {error}")
        done.status = JobStatus.FAILED
        return bytes(cloudpickle.dumps(done))
