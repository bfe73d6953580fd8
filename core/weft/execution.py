"""One run from start to end, whatever the end: its record, its fit, its test, its files, its true status."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import nn

from weft import __version__, checkpoint, loop, reference, saved
from weft.callback import Callback
from weft.configuration import Configuration
from weft.errors import ConfigError, Interrupted, WeftError
from weft.folder import Folder, written
from weft.keeping import BestWeights, Checkpoints, Interruption
from weft.randomness import derived, kept_randomness, seed_everything
from weft.settings import Reference
from weft.state import Run
from weft.telemetry import provenance, system
from weft.telemetry.redaction import redact, redact_override, redact_tree
from weft.telemetry.store import absolute_uri
from weft.telemetry.tracker import DatasetInput, Opening, Status, Tracker

log = logging.getLogger("weft")


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `scores` are those of the weights that it was tested with, its best epoch's or its last; `comparison`
    holds them against the run's reference."""

    status: Status
    tracker: Tracker
    folder: Path
    objective: str
    score: float | None
    scores: Mapping[str, float]
    model: nn.Module | None
    error: BaseException | None = None
    comparison: reference.Comparison | None = None

    @property
    def run_id(self) -> str:
        """MLflow's name for the run. Waits until all of it is there.

        Raises:
            TrackingError: the store doesn't take it; says why.
        """
        return self.tracker.run_id


def execute(
    run: Run,
    folder: Folder,
    tracker: Tracker,
    overrides: Sequence[str] = (),
    watching: Sequence[Callback] = (),
    resume: bool = False,
) -> Outcome:
    """Fit and test a prepared run, and record it. Every end is an outcome, also a failed one.

    `watching` are callbacks of whoever started it, such as a progress bar.

    Raises:
        ConfigError: another process is at work in this folder.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.lock, timeout=0):
            return _execute(run, folder, tracker, overrides, watching, resume)
    except Timeout:
        raise ConfigError(f"{folder.path}: this run is under way") from None


def _execute(
    run: Run, folder: Folder, tracker: Tracker, overrides: Sequence[str], watching: Sequence[Callback], resume: bool
) -> Outcome:
    checkpoints = Checkpoints(folder.checkpoint)
    interruption = Interruption(checkpoints)
    run.observer.tracker = tracker
    run.observer.keep_in(folder.path)
    error: BaseException | None = None
    status = Status.FINISHED
    try:
        with interruption.listening(), run.device.session(), kept_randomness(run.device.device):
            _open(run, folder, tracker, overrides, resume)
            if resume and folder.checkpoint.exists():
                run.load_state_dict(checkpoint.read(folder.checkpoint))
                if overrides:
                    run.stopping = False  # what stopped it was short of the length that is asked for now
            else:
                seed_everything(derived(run.configuration.settings.seed, "training"))
            if resume:
                tracker.rewind(run.step)
            run.listen(BestWeights(), *watching, checkpoints, interruption)
            with system.recorded(tracker, lambda: run.step, run.configuration.settings.observe.system):
                loop.fit(run)
            interruption.act()
            scores = _conclude(run, folder)
            interruption.act()
        tracker.model(folder.model, run.configuration.settings.tracking.register)
    except Interrupted as interrupted:
        status, error, scores = Status.KILLED, interrupted, dict(run.scores)
    except KeyboardInterrupt as stop:
        status, error, scores = Status.KILLED, stop, dict(run.scores)
    except (Exception, SystemExit) as failure:  # a part that calls exit() ends its own run, no other
        status, error, scores = Status.FAILED, failure, dict(run.scores)
    return _close(run, folder, tracker, status, error, scores)


def record_failure(
    configuration: Configuration, folder: Folder, tracker: Tracker, overrides: Sequence[str], error: BaseException
) -> None:
    """Record a job that failed before it was a run: its parts could not be built, or don't fit."""
    folder.write_config(_anywhere(configuration))
    _begin(configuration, folder, tracker, overrides, None, {}, resume=False)
    _end(folder, tracker, Status.FAILED, error, {})


def _anywhere(configuration: Configuration) -> dict[str, Any]:
    """Return the config as it means the same from any current folder."""
    tree = configuration.tree()
    tree["runs"] = str(Path(configuration.settings.runs).absolute())
    tree["tracking"] = {**tree["tracking"], "uri": absolute_uri(configuration.settings.store)}
    return tree


def _open(run: Run, folder: Folder, tracker: Tracker, overrides: Sequence[str], resume: bool) -> None:
    folder.write_config(_anywhere(run.configuration))
    data = run.data
    dataset = DatasetInput(
        data.name,
        data.digest,
        data.source,
        {**data.sizes(), "inputs": list(data.inputs), "outputs": data.outputs, "task": data.task},
    )
    tags = {
        "weft.dataset_digest": data.digest,
        "weft.device": str(run.device.device),
        "weft.threads": str(run.device.threads),
        "weft.parameters": str(sum(parameter.numel() for parameter in run.model.parameters())),
        "weft.objective": str(run.objective),
    }
    _begin(run.configuration, folder, tracker, overrides, dataset, tags, resume)
    folder.note(objective=run.objective.key, maximize=run.objective.maximize)


def _begin(
    configuration: Configuration,
    folder: Folder,
    tracker: Tracker,
    overrides: Sequence[str],
    dataset: DatasetInput | None,
    tags: Mapping[str, str],
    resume: bool,
) -> None:
    """Open the run in the tracker, with all that is known of where it comes from."""
    settings = configuration.settings
    before = folder.record() if resume else {}
    key = before.get("key") or uuid.uuid4().hex
    given = before.get("overrides") or [*map(redact_override, overrides)]
    plugins = sorted({str(part.component.plugin) for part in configuration.every_part()})
    chosen = configuration.params()
    shown = [chosen[kind] for kind in ("model", "optimizer", "regularizer", "dataset") if chosen[kind] != "none"]
    name = settings.name or "-".join(shown)
    opening = Opening(
        name=name,
        experiment=settings.tracking.experiment,
        params=configuration.params(),
        tags={
            **provenance.tags(),
            "weft.version": __version__,
            "weft.folder": str(folder.path),
            "weft.plugins": ", ".join(plugins),
            "weft.overrides": " ".join(given),
            **({"weft.sweep": settings.sweep.name} if settings.sweep.name else {}),
            **tags,
            **(settings.tags or {}),
        },
        dataset=dataset,
        run_id=settings.tracking.run_id,
        key=key,
    )
    folder.note(
        status="RUNNING",
        key=key,
        name=name,
        uri=redact("tracking.uri", settings.store),
        experiment=settings.tracking.experiment,
        overrides=given,
        dataset=chosen["dataset"],
        source=redact("source", dataset.source) if dataset is not None else "",
        loss={key: value for key, value in chosen.items() if key.partition(".")[0] in ("loss", "class_weights")},
        started=before.get("started") or time.time(),
    )
    _hold(folder, settings.reference, {})
    tracker.start(opening)
    # The folder's own config.yaml is what a resumed run needs, secrets included; the one that is recorded has none.
    recorded = folder.path / "recorded"
    recorded.mkdir(exist_ok=True)
    (recorded / "config.yaml").write_text(written(redact_tree(configuration.tree())))
    (recorded / "environment.json").write_text(json.dumps(provenance.environment(), indent=1))
    tracker.artifact(recorded)


def _conclude(run: Run, folder: Folder) -> dict[str, float]:
    """Write the model, go to the weights to be tested, test them; return the scores of the best epoch and of the test."""
    saved.write(folder.model, run)
    if run.best.weights and run.configuration.settings.test_weights == "best":
        run.model.load_state_dict(run.best.weights)
    last: dict[str, float] = {}
    for split in run.data.scored:
        if split != "valid":
            last |= loop.evaluate(run, split)
    last.pop("train/loss", None)  # under this name stands the loss on the way
    best = run.best.scores or run.scores
    run.log({**{f"best/{name}": score for name, score in best.items()}, **last})
    run.observer.flush(run)
    tested = best if run.configuration.settings.test_weights == "best" else run.scores
    scores = {**tested, **last}
    compared = _hold(folder, run.configuration.settings.reference, scores)
    if compared is not None:
        run.observer.tracker.tag({"weft.reference": str(compared), "weft.reference_met": str(compared.met).lower()})
    return scores


def _hold(folder: Folder, wanted: Reference, scores: Mapping[str, float]) -> reference.Comparison | None:
    """Note how far a run meets its reference: not at all from its beginning on, so that one which fails counts as well."""
    compared = reference.compare(wanted, scores)
    if compared is not None:
        folder.note(reference=asdict(compared))
    return compared


def _close(
    run: Run, folder: Folder, tracker: Tracker, status: Status, error: BaseException | None, scores: dict[str, float]
) -> Outcome:
    for tell in [run.observer.publish] if error is None else [run.observer.flush, run.observer.publish]:
        try:
            tell(run)
        except Exception as lost:
            if error is None:
                raise
            log.log(
                logging.DEBUG if isinstance(lost, WeftError) else logging.WARNING, "the last values were not recorded: %s", lost
            )
    judged = run.best.score
    if judged is not None and run.configuration.settings.test_weights == "last":
        judged = run.scores[run.objective.key]
    folder.note(epoch=run.epoch, step=run.step, score=judged, best_epoch=run.best.epoch)
    if status is Status.FINISHED and run.best.score is None:
        log.warning("%s was never a number: the last weights stand for the best", run.objective.key)
    error = _end(folder, tracker, status, error, scores)
    return Outcome(
        status=Status.FAILED if error is not None and status is Status.FINISHED else status,
        tracker=tracker,
        folder=folder.path,
        objective=str(run.objective),
        score=judged,
        scores=scores,
        model=run.model.eval() if status is Status.FINISHED else None,
        error=error,
        comparison=reference.compare(run.configuration.settings.reference, scores) if status is Status.FINISHED else None,
    )


def _end(
    folder: Folder, tracker: Tracker, status: Status, error: BaseException | None, scores: Mapping[str, float]
) -> BaseException | None:
    """End the run in the tracker and in the record; return the first thing that went wrong."""
    said = {}
    try:
        if error is not None and status is Status.FAILED:
            tracker.artifact(provenance.write_traceback(error, folder.path))
            said = {"weft.error": f"{type(error).__name__}: {error}"}
            tracker.tag(said)
        tracker.end(status)
        folder.note(run_id=tracker.known_id)
    except WeftError as lost:
        error = error or lost
        said = said or {"weft.error": str(lost)}
        status = Status.FAILED if status is Status.FINISHED else status
    except BaseException:  # a second Ctrl-C, while the store is waited for
        folder.note(status=str(Status.KILLED), scores=scores, ended=time.time())
        raise
    folder.note(status=str(status), scores=scores, error=said.get("weft.error"), ended=time.time())
    return error
