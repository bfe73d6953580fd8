"""A sweep's summary: files beside its jobs, and one run of MLflow's.

SWEEP/summary/summary.md       all of it, to read
              leaderboard.csv  a line a setting: its scores over seeds, how it stands to the best, the command that repeats it
              jobs.csv         a line a job
              scores.png       the scores by setting
              progress.png     the scores by time, and the best so far
              recorded/        what of it MLflow was given
              run.json         the record: MLflow's run id, and the key by which it knows the run again
"""

from __future__ import annotations

import csv
import math
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from weft import __version__, destination
from weft.errors import ConfigError
from weft.folder import RECORD, SUMMARY, Folder, runs
from weft.settings import Settings
from weft.sweep import figures, markdown, statistics
from weft.sweep.ledger import is_sweep
from weft.sweep.results import Entry, Group, Skipped, best_so_far, command, entries, groups
from weft.telemetry import provenance
from weft.telemetry.redaction import redact, redact_override
from weft.telemetry.tracker import Opening, Row, Status

_NOTE = "mlflow.note.content"
_NOTE_LENGTH = 8000
"""Letters of a tag, by MLflow's validation."""
_NOTE_LINES = 20
"""Of each list in a description, so that one long list doesn't push out all that comes after."""
_MULTIRUN = "multirun.yaml"
"""What Hydra writes into a sweep's folder before the first job."""


def located(sweep: Path) -> list[Entry]:
    """Return the jobs of a sweep, best first.

    Raises:
        ConfigError: no such folder, a run's or another one, or a sweep of which no job has begun.
    """
    if not sweep.is_dir():
        raise ConfigError(f"{sweep}: there is no such folder; give that of a sweep, such as runs/sweeps/NAME")
    if (sweep / RECORD).exists():
        around = sweep.absolute().parent
        hint = f" {around}" if _holds_jobs(around) else ""
        raise ConfigError(f"{sweep}: is the folder of one run; give that of its sweep{hint}")
    found = entries(sweep)
    if not found and (is_sweep(sweep) or (sweep / _MULTIRUN).exists()):
        raise ConfigError(f"{sweep}: no job of this sweep has begun yet")
    if not _holds_jobs(sweep):
        inside = ", ".join(sorted(path.name for path in sweep.iterdir() if _holds_jobs(path)))
        hint = f"; it holds those of {inside}" if inside else "; it could be runs/sweeps/NAME"
        raise ConfigError(f"{sweep}: not the folder of a sweep{hint}")
    return found


def _holds_jobs(folder: Path) -> bool:
    return any(map(_is_job, runs(folder)))


def _is_job(folder: Folder) -> bool:
    """Whether a run is one of a sweep: a day's folder holds runs as well, which have nothing to do with each other."""
    try:
        return bool((folder.read_config().get("sweep") or {}).get("name"))
    except ConfigError:
        return False


def warm() -> None:
    """Import what calculates and draws a summary: it takes as long as doing so, and at a sweep's end somebody waits."""
    statistics.warm()
    figures.warm()


def write(sweep: Path, found: Sequence[Entry]) -> list[Path]:
    """Write the summary's files from what is there by now, and the skips that were noted; return them.

    Raises:
        ConfigError: they can't be written there.
    """
    place = sweep / SUMMARY
    made = groups(found)
    try:
        place.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place, prefix=".") as beside:  # who reads them meanwhile sees whole files
            new = Path(beside)
            (new / "summary.md").write_text(markdown.page(sweep.absolute().name, found, _skipped(sweep)), encoding="utf-8")
            _table(new / "leaderboard.csv", *_leaderboard(made))
            _table(new / "jobs.csv", *_jobs(found))
            figures.scores(made, new / "scores.png")
            figures.progress(found, new / "progress.png")
            return [file.replace(place / file.name) for file in sorted(new.iterdir())]
    except OSError as error:
        raise ConfigError(f"{place}: can't be written: {error.strerror}") from None


def note_skipped(sweep: Path, skipped: Iterable[Skipped]) -> None:
    """Keep what a sweep does not run, for every summary of it."""
    folder = Folder(sweep / SUMMARY)
    folder.path.mkdir(parents=True, exist_ok=True)
    told = [{"overrides": [*map(redact_override, skip.overrides)], "reason": redact("reason", skip.reason)} for skip in skipped]
    folder.note(skipped=told)


def _skipped(sweep: Path) -> list[Skipped]:
    return [Skipped(tuple(told["overrides"]), told["reason"]) for told in Folder(sweep / SUMMARY).record().get("skipped", [])]


def record(sweep: Path, settings: Settings, skipped: Sequence[Skipped] = (), more: Sequence[Path] = ()) -> list[Path]:
    """Write the summary of a sweep that has ended, and record it as one run of MLflow's; return its files. For a sweep that
    went on it is the same run. Waits for no store: the sweep does, once.

    Args:
        settings: of any of its jobs: where they are recorded.
        skipped: what was not run.
        more: further files, which the run keeps as well.

    Raises:
        ConfigError: its files can't be written.
        TrackingError: nobody can ship it.
    """
    note_skipped(sweep, skipped)
    found = entries(sweep)
    written = write(sweep, found)
    folder = Folder(sweep / SUMMARY)
    before = folder.record()
    name = settings.sweep.name or folder.path.parent.name
    opening = Opening(
        name=f"summary of {name}",
        experiment=settings.tracking.experiment,
        tags={
            **provenance.tags(),
            "weft.version": __version__,
            "weft.folder": str(folder.path),
            "weft.sweep": name,
            "weft.summary": "true",
            **(settings.tags or {}),
        },
        key=before.get("key") or uuid.uuid4().hex,
    )
    folder.note(
        status="RUNNING",
        key=opening.key,
        name=opening.name,
        uri=redact("tracking.uri", settings.store),
        experiment=opening.experiment,
        started=before.get("started") or time.time(),
    )
    tracker = destination.tracker(settings, folder, wait=0.0)
    tracker.start(opening)
    status = Status.FAILED
    try:
        tracker.log(_rows(found))
        tracker.artifact(_kept(folder.path, [*written, *more]))
        tracker.tag({_NOTE: _note(name, found, skipped)})
        status = Status.FINISHED
    finally:
        tracker.end(status)
        folder.note(status=str(status), run_id=tracker.known_id, ended=time.time())
    return written


def _note(name: str, found: Sequence[Entry], skipped: Sequence[Skipped]) -> str:
    text = redact(_NOTE, markdown.page(name, found, skipped, _NOTE_LINES))
    return markdown.cut(text, _NOTE_LENGTH, "*The rest is in this run's artifact summary.md.*")


def _kept(place: Path, files: Iterable[Path]) -> Path:
    """Return a folder with copies for MLflow: `write` puts others in the place of the files, whenever it is asked to."""
    kept = place / "recorded"
    kept.mkdir(exist_ok=True)
    for file in files:
        Path(shutil.copy2(file, place / f".{file.name}")).replace(kept / file.name)
    return kept


def _rows(found: Sequence[Entry]) -> list[Row]:
    """Return the best score so far, by the number of jobs that have ended. Told again it is the same, with the same time, and
    a store keeps it once."""
    return [
        Row(step, int((entry.ended or 0.0) * 1000), [f"best/{objective}"], [best])
        for objective in dict.fromkeys(entry.objective for entry in found if entry.score is not None)
        for step, (entry, best) in enumerate(best_so_far(found, objective), 1)
    ]


def _leaderboard(made: Sequence[Group]) -> tuple[list[str], list[list[Any]]]:
    keys = [*dict.fromkeys(key for group in made for key in group.choices)]
    tests = sorted({name for group in made for job in group.jobs for name in job.scores if name.startswith("test/")})
    names = ["n", "mean", "deviation", "low", "high", "test", "p", "corrected_p", "is_told_apart", "jobs", "finished"]
    rows = []
    for place, group in enumerate(made, 1):
        told, test = group.estimate, group.comparison
        compared = [test.test, test.p, test.corrected, test.is_told_apart] if test else [""] * 4
        settings = [group.choices.get(key, "") for key in keys]
        numbers = [told.n, told.mean, told.deviation, told.low, told.high, *compared, len(group.jobs), len(group.finished)]
        rows.append([place, *settings, group.objective, *numbers, *map(group.mean, tests), group.command])
    return ["place", *keys, "score_name", *names, *tests, "command"], rows


def _jobs(found: Sequence[Entry]) -> tuple[list[str], list[list[Any]]]:
    keys = [*dict.fromkeys(key for job in found for key in job.choices)]
    names = sorted({name for job in found for name in job.scores})
    rows = [
        [job.folder.name, job.status, *(job.choices.get(key, "") for key in keys), job.objective, job.score]
        + [job.scores.get(name) for name in names]
        + [job.started, job.ended, redact("error", job.error or ""), command(job.overrides)]
        for job in found
    ]
    return ["job", "status", *keys, "score_name", "score", *names, "started", "ended", "error", "command"], rows


def _table(file: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file. What isn't there, or is no number, is empty."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(columns)
        writer.writerows(["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in row] for row in rows)
