"""Tracking for a loop that weft doesn't run: `with weft.track("name", lr=0.1) as run: run.log({"loss": loss})`.

It keeps the journal that weft's own runs keep, so that all they promise holds here too: a row that was flushed is not lost, the
loop waits for no store, and the run's status is true whatever ends it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from numbers import Real
from operator import index
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from weft import __version__, destination
from weft.errors import ConfigError, UserError, WeftError
from weft.folder import Folder
from weft.settings import Tracking
from weft.telemetry import images, provenance, recording, system
from weft.telemetry.recording import JournalTracker
from weft.telemetry.tracker import STEPS, Opening, Row, Status

if TYPE_CHECKING:
    from torch import Tensor, nn

    from weft.telemetry.watching import Watch

log = logging.getLogger("weft")

_FLUSH_SECONDS = 0.5
_FLUSH_ROWS = 1000
_MOST_STAGED = 100_000
"""Rows that may wait for a flush before the loop does it itself."""


_OTHERS = {"run_name": "name", "experiment_name": "experiment", "tracking_uri": "uri"}
"""What MLflow calls its arguments: taken for params they would be lost in silence."""


class Terminated(SystemExit):
    """SIGTERM has come."""


class TrackedRun:
    """One run of somebody's own loop. Made by `weft.track`; ends with its `with`, or by `end`.

    What is logged is kept in memory for at most half a second. `flush` returns when it outlives this process.
    """

    def __init__(self, folder: Folder, tracker: JournalTracker, opening: Opening, every: float | None):
        self._record = folder
        self._tracker = tracker
        self._step = -1
        self._staged: list[tuple[int, int, Mapping[str, Any]]] = []
        self._guard = threading.Lock()
        self._flushing = threading.Lock()
        self._wake = threading.Event()
        self._watches: list[Watch] = []
        self._error = sys.last_value if hasattr(sys, "last_value") else None
        self._is_over = False
        self._over = "the run has ended"
        folder.path.mkdir(parents=True, exist_ok=True)
        tracker.start(opening)
        folder.note(status="RUNNING", key=opening.key, name=opening.name, experiment=opening.experiment, started=time.time())
        environment = folder.path / "environment.json"
        environment.write_text(json.dumps(provenance.environment(), indent=1))
        tracker.artifact(environment)
        self._system = system.recorded(tracker, lambda: max(self._step, 0), every)
        self._system.__enter__()
        self._flusher = threading.Thread(target=self._keep_flushing, daemon=True, name="weft flush")
        self._flusher.start()
        _take_over_sigterm()
        _under_way.add(self)
        atexit.register(self._leave)

    @property
    def folder(self) -> Path:
        """Where its journal and its files are."""
        return self._record.path

    @property
    def id(self) -> str:
        """MLflow's name for the run. Waits until MLflow has it.

        Raises:
            TrackingError: the store doesn't take it; says why.
        """
        return self._tracker.run_id

    def log(self, values: Mapping[str, float | Tensor], step: int | None = None) -> None:
        """Record values at a step, by default one after the last. A tensor of one element stays on its device until the flush.

        Raises:
            UserError: no mapping, a value is no number, or the step no integer of 64 bits; nothing of it was taken.
            WeftError: the run has ended.
        """
        if self._is_over:
            raise WeftError(self._over)
        if not isinstance(values, Mapping):
            raise UserError(f"log: {repr(values)[:100]} is no mapping of names to numbers, such as {{'loss': 0.5}}")
        step = self._step + 1 if step is None else _checked_step(step)
        taken = {str(key): _number(key, value) for key, value in values.items()}
        with self._guard:
            self._step = step
            if taken:
                self._staged.append((step, time.time_ns() // 1_000_000, taken))
            waiting = len(self._staged)
        if waiting >= _MOST_STAGED:
            self.flush()
        elif waiting == _FLUSH_ROWS:
            self._wake.set()

    def flush(self) -> None:
        """Write what was logged to the journal. When it returns, that outlives this process.

        Raises:
            WeftError: a tensor can't be read any more; the rest was written.
        """
        with self._flushing:
            with self._guard:
                staged = list(self._staged)
            rows, lost = _readable(staged)  # may be interrupted, or wait for a device: nothing is taken out before
            with self._guard:
                del self._staged[: len(staged)]
            if rows:
                self._tracker.log(rows)
            if lost:
                raise WeftError(lost)

    def watch(self, model: nn.Module, every: int = 50, series: int = 64) -> None:
        """Record norms of the model's gradients, weights and updates at each `every`-th step of its optimizer, and the first.
        Steps are those of the optimizer, from 1 on.

        Args:
            series: the most of each statistic; where there are more parameters, they are taken together by module.
        """
        from torch.nn import Module

        from weft.telemetry.watching import Watch

        if self._is_over:
            raise WeftError("the run has ended")
        if not isinstance(model, Module):
            raise UserError(f"watch: {str(model)[:100]!r} is no torch.nn.Module")
        if not all(type(number) is int and number >= 1 for number in (every, series)):
            raise UserError(f"watch: every={every!r}, series={series!r}: integers, at least 1")
        self._watches.append(Watch(model, every, series, self._tracker))

    def artifact(self, path: str | Path, folder: str = "") -> None:
        """Keep a copy of a file, or of a folder, as it is now, under `folder` of the run.

        Raises:
            UserError: it isn't there or can't be copied, or `folder` leads out of the run.
        """
        for given in (path, folder):
            if not isinstance(given, (str, os.PathLike)):
                raise UserError(f"artifact: {repr(given)[:100]} is no path")
        source = Path(path).absolute()
        if not source.exists():
            raise UserError(f"artifact: {path}: there is no such file")
        if self.folder.absolute().resolve().is_relative_to(source.resolve()):
            raise UserError(f"artifact: {path}: holds the folder of the run itself")
        inside = Path(folder)
        if inside.is_absolute() or ".." in inside.parts:
            raise UserError(f"artifact: folder {folder!r} leads out of the run")
        kept = self.folder / "artifacts" / inside / source.name
        try:
            if (odd := _no_file(source)) is not None:
                raise UserError(f"artifact: {path}: {odd} is neither a file nor a folder, or leads back to a folder it lies in")
            kept.parent.mkdir(parents=True, exist_ok=True)
            if kept.exists() and kept.samefile(source):
                pass  # it lies where it is to be kept
            elif source.is_dir():
                shutil.copytree(source, kept, dirs_exist_ok=True)
            else:
                shutil.copy2(source, kept)
        except OSError as error:
            raise UserError(f"artifact: {path}: can't be copied to {kept} ({error})") from None
        self._tracker.artifact(kept, str(inside / source.name) if source.is_dir() else str(inside) if inside.parts else "")

    def image(self, name: str, image: Any, step: int | None = None) -> None:
        """Record an image at a step, by default the last one: of torch, numpy or lists, [height, width] or [height, width, 1,
        3 or 4], with fractions from 0 to 1 or whole numbers from 0 to 255. MLflow's page shows those of a name along the steps;
        a step has one of each name, the last.

        Raises:
            UserError: another name, shape or kind of numbers, or the disk doesn't take it.
            WeftError: the run has ended.
        """
        if self._is_over:
            raise WeftError(self._over)
        at = max(self._step, 0) if step is None else _checked_step(step)
        found = images.pixels(name, image)
        try:
            images.record(self._tracker, self.folder, name, at, found)
        except OSError as error:
            raise UserError(f"image {name}: can't be kept ({error})") from None

    def tag(self, **tags: object) -> None:
        """Set tags; a later value replaces an earlier one."""
        self._tracker.tag({key: str(value) for key, value in tags.items()})

    def end(self, status: Status | str = Status.FINISHED, error: BaseException | None = None) -> None:
        """End the run as FINISHED, FAILED or KILLED. Waits a little for the store.

        Raises:
            UserError: another status.
            TrackingError: the disk did not take all of it.
        """
        if status not in [*Status]:
            raise UserError(f"status: {status!r} is none of {', '.join(Status)}")
        if self._is_over:
            return
        with contextlib.ExitStack() as last:  # from the last to the first, whatever becomes of each: a device may be lost
            last.callback(self._note_end, Status(status))
            last.callback(self._tell, error)
            last.callback(self.flush)
            last.callback(self._stop)
            for watch in self._watches:
                last.callback(watch.close)
            last.callback(self._system.__exit__, None, None, None)

    def __enter__(self) -> TrackedRun:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        if error is None or (isinstance(error, SystemExit) and not isinstance(error, Terminated) and not error.code):
            self.end(Status.FINISHED)
        elif isinstance(error, (KeyboardInterrupt, Terminated)):
            self._end_after(error, Status.KILLED)
        else:
            self._end_after(error, Status.FAILED, error)

    def _end_after(self, error: BaseException, status: Status, told: BaseException | None = None) -> None:
        """End the run because of an error, which is the one to be raised."""
        try:
            self.end(status, told)
        except Exception as lost:
            log.warning("the last values were not recorded: %s", lost, exc_info=not isinstance(lost, WeftError))

    def leave_to_parent(self) -> None:
        """In a fork: the run is the parent's, which reports and ends it."""
        self._is_over, self._over = True, "a run is reported by the process that started it, not by its forks"
        self._staged.clear()
        self._guard, self._flushing = threading.Lock(), threading.Lock()
        atexit.unregister(self._leave)

    def _stop(self) -> None:
        self._is_over = True
        self._wake.set()
        self._flusher.join()
        atexit.unregister(self._leave)
        _under_way.discard(self)
        _give_back_sigterm()

    def _tell(self, error: BaseException | None) -> None:
        if error is not None:
            self._tracker.artifact(provenance.write_traceback(error, self.folder))
            self._tracker.tag({"weft.error": f"{type(error).__name__}: {error}"})

    def _note_end(self, status: Status) -> None:
        try:
            self._tracker.end(status)
        except WeftError:
            status = Status.FAILED if status is Status.FINISHED else status
            raise
        finally:  # also when it is interrupted while the store is waited for
            self._record.note(status=str(status), run_id=self._tracker.known_id, ended=time.time())

    def _keep_flushing(self) -> None:
        while not self._is_over:
            self._wake.wait(_FLUSH_SECONDS)
            self._wake.clear()
            try:
                self.flush()
            except Exception as error:  # a thread has nobody to raise it to
                log.warning("%s", error, exc_info=not isinstance(error, WeftError))

    def _leave(self) -> None:
        """End a run that nobody ended, as the program did, as far as that can be told: the code of `sys.exit` can't."""
        error = getattr(sys, "last_value", None)
        if _terminated:
            self.end(Status.KILLED)
        elif error is None or error is self._error:
            self.end(Status.FINISHED)
        else:
            self.end(Status.KILLED if isinstance(error, KeyboardInterrupt) else Status.FAILED, error)


def track(
    name: str | None = None,
    *,
    experiment: str | None = None,
    uri: str | None = None,
    runs: str | Path = "runs",
    tags: Mapping[str, object] | None = None,
    params: Mapping[str, object] | None = None,
    every: float | None = 10.0,
    wait: float = 2.0,
    **more: object,
) -> TrackedRun:
    """Begin a run of your own loop, and record it as weft's runs are: in a journal that is shipped to MLflow.

    Args:
        name: of the run; by default the program's.
        experiment: of MLflow; else `MLFLOW_EXPERIMENT_NAME`, else `weft`.
        uri: MLflow's store or server; else `MLFLOW_TRACKING_URI`, else `sqlite:///RUNS/mlflow.db`.
        runs: folder that its output goes to.
        tags: of the run.
        params: of the run; mappings in it become `outer.inner`. Any other keyword is one of them: `lr=0.1`.
        every: seconds from one record of the machine's state to the next; None is never.
        wait: seconds that its end waits for all of it to be in the store.

    Raises:
        ConfigError: an argument that can't be, or it can't be recorded there; nothing was written.
    """
    _check("text", str | None, name=name, experiment=experiment, uri=uri)
    _check("path", str | os.PathLike, runs=runs)
    _check("mapping of names to values", Mapping | None, tags=tags, params=params)
    _check("number of seconds", int | float | None, every=every)
    _check("number of seconds", int | float, wait=wait)
    if not (every is None or 0 < every < math.inf) or not 0 <= wait < math.inf:
        raise ConfigError(f"every={every!r}, wait={wait!r}: seconds; every is more than 0, or None")
    for key in _OTHERS.keys() & more.keys():
        raise ConfigError(f"{key}: is called {_OTHERS[key]} here; for a param of that name: params={{{key!r}: …}}")
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(runs)}/mlflow.db"
    experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or Tracking().experiment
    folder = Folder(Path(runs) / f"{datetime.now():%Y-%m-%d}" / f"{datetime.now():%H-%M-%S-%f}")
    if not experiment.strip():
        raise ConfigError("experiment: needs a name")
    destination.check_place("runs", Path(runs))
    destination.check_uri(uri, "uri")
    opening = Opening(
        name=name or Path(sys.argv[0] or "notebook").stem,
        experiment=experiment,
        params=_flat({**(params or {}), **more}),
        tags={
            **provenance.tags(),
            "weft.version": __version__,
            "weft.folder": str(folder.path),
            **{str(key): str(value) for key, value in (tags or {}).items()},
        },
    )
    tracker = JournalTracker(folder.path, uri, Path(runs).absolute() / "artifacts", wait=wait)
    return TrackedRun(folder, tracker, opening, every)


def _checked_step(step: Any) -> int:
    """Raises:
    UserError: it is no integer of 64 bits.
    """
    if isinstance(step, bool) or not hasattr(step, "__index__") or (found := index(step)) not in STEPS:
        raise UserError(f"step: {step!r} is no integer of 64 bits")
    return found


def _check(kind: str, wanted: Any, **given: object) -> None:
    for key, value in given.items():
        if not isinstance(value, wanted):
            raise ConfigError(f"{key}: {repr(value)[:100]} is no {kind}")


def _flat(values: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = str(value)
    return found


def _no_file(path: Path, above: tuple[Path, ...] = ()) -> Path | None:
    """Return what can't be copied to its end: a device, a pipe, a link to nowhere or to a folder that it lies in."""
    if path.is_file():
        return None
    real = path.resolve()
    if not path.is_dir() or real in above:
        return path
    return next((odd for inner in sorted(path.iterdir()) if (odd := _no_file(inner, (*above, real))) is not None), None)


def _number(key: object, value: Any) -> Any:
    """Return a number as a float, and a tensor of one as it is.

    Raises:
        UserError: it is neither.
    """
    if type(value) is float:
        return value
    if hasattr(value, "detach"):
        if value.numel() != 1:
            raise UserError(f"{key}: a tensor of {value.numel()} elements is no number")
        if value.is_complex() or value.is_quantized or value.device.type == "meta" or str(value.layout) != "torch.strided":
            raise UserError(f"{key}: a tensor of {value.dtype}, {value.layout}, on {value.device} is no real number")
        return value.detach().clone()  # what it stands for may change before the flush
    kind = getattr(getattr(value, "dtype", None), "kind", "f")  # of NumPy's: a complex number or a text has none that is real
    if kind in "biuf" and (isinstance(value, Real) or getattr(value, "shape", None) == ()):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise UserError(f"{key}: {str(value)[:100]!r} is no number")


def _rows(staged: list[tuple[int, int, Mapping[str, Any]]]) -> list[Row]:
    tensors = [value for _, _, values in staged for value in values.values() if type(value) is not float]
    if tensors:
        from weft.telemetry.transfer import transferred

        found = iter(transferred(tensors))
    return [
        Row(step, at, [*values], [value if type(value) is float else next(found).item() for value in values.values()])
        for step, at, values in staged
    ]


def _readable(staged: list[tuple[int, int, Mapping[str, Any]]]) -> tuple[list[Row], str]:
    """Return the rows, and what is wrong with those whose tensors can't be read: what is no tensor is left of them."""
    try:
        return _rows(staged), ""
    except Exception:  # one at a time, to find out which
        pass
    rows, lost = [], ""
    for step, at, values in staged:
        try:
            rows += _rows([(step, at, values)])
        except Exception as error:
            tensors = [key for key, value in values.items() if type(value) is not float]
            lost = lost or f"{', '.join(tensors)} at step {step}: can't be read, and not recorded ({error})"
            rows += _rows([(step, at, left)]) if (left := {key: values[key] for key in values if key not in tensors}) else []
    return rows, lost


def _take_over_sigterm() -> None:
    """Have SIGTERM end the program by way of its `with` and `finally`, unless somebody else has a use for it."""
    if not _under_way:
        _terminated.clear()
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)


def _give_back_sigterm() -> None:
    """With the last run under way."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and not _under_way and signal.getsignal(signal.SIGTERM) == _terminate:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


_under_way: set[TrackedRun] = set()
_terminated: list[int] = []


def _leave_to_parent() -> None:
    for run in _under_way:
        run.leave_to_parent()
    _under_way.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


def _terminate(number: int, frame: FrameType | None) -> None:
    _terminated.append(number)
    recording.note_signal("SIGTERM")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends it at once
    raise Terminated(128 + number)
