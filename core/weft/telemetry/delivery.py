"""Puts what a journal holds into one store of MLflow. Each verb may be repeated: the second time adds nothing.

What the store refuses for good is halved until one item is alone; that one is noted.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from functools import partial
from pathlib import Path
from typing import Any

from weft.errors import TrackingError
from weft.telemetry import model_entry
from weft.telemetry.client import Gone, Store, once
from weft.telemetry.names import Names, mended
from weft.telemetry.store import Point, files, in_one_line, shown

_PARAMS = 100  # in one request; so are the next four, by MLflow's validation
_NAME_LENGTH = 250
_PARAM_LENGTH = 6000
_TAG_LENGTH = 8000
_DIGEST_LENGTH = 36
_MARKER = "…"
_LISTED = 20

Refuse = Callable[[str, str], object]
"""Takes what was refused, and the reason."""


class Delivery:
    """One run in a store.

    Args:
        run: as the store has it.
        refuse: told what the store refused for good, and why.
    """

    def __init__(self, store: Store, run: Any, refuse: Refuse):
        self.run_id = str(run.info.run_id)
        self._store = store
        self._client = store.client
        self._place = str(run.info.artifact_uri)
        self._refuse = refuse
        self._refused = dict.fromkeys(_listed(run, "weft.refused", "; "))
        self._non_finite = dict.fromkeys(_listed(run, "weft.non_finite", ", "))

    def points(self, points: Sequence[Point]) -> None:
        """Write points. MLflow refuses a whole request for one bad point: halve, until that one is alone."""
        chunks = list(_chunks(points, self._store.most))
        under_way = [self._store.writers.submit(self._store.write, self.run_id, chunk) for chunk in chunks]
        wait(under_way)
        for chunk, written in zip(chunks, under_way, strict=True):
            self._settle(chunk, written.result)
            self._note_non_finite(chunk)

    def params(self, params: Mapping[str, str], known: Mapping[str, str]) -> None:
        """Record params. One that is too long is cut, and kept whole as an artifact; one that is another than before stays, and
        a tag tells."""
        from mlflow.entities import Param

        given, cut = _given_params(params), cut_params(params)
        self.tags({f"weft.changed.{key}": given[key] for key, value in cut.items() if known.get(key, value) != value})
        for chunk in _chunks([Param(key, value) for key, value in cut.items() if key not in known], _PARAMS):
            self._batch("param", chunk, lambda chunk: self._client.log_batch(self.run_id, params=chunk, synchronous=True))
        for key, value in given.items():
            if len(value) > _PARAM_LENGTH:
                file = f"params/{re.sub(r'[^0-9A-Za-z_.-]', '_', key)}.txt"
                self._try(f"param {key}, whole", partial(self._client.log_text, self.run_id, value, file))

    def tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        entities = [RunTag(key, value) for key, value in _given_tags(tags).items()]
        for chunk in _chunks(entities, _PARAMS):
            self._batch("tag", chunk, lambda chunk: self._client.log_batch(self.run_id, tags=chunk, synchronous=True))

    def dataset(self, name: str, digest: str, source: str, profile: Mapping[str, object]) -> None:
        """Record what data the run was given."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name, digest[:_DIGEST_LENGTH], "local", json.dumps({"uri": source}), profile=json.dumps(profile))
        given = DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
        self._try("dataset", lambda: self._client.log_inputs(self.run_id, [given]))

    def artifact(self, path: str, folder: str) -> None:
        """Keep a file, or all files of a folder."""

        def keep() -> None:
            there = files(self._client, self._place)
            (there.log_artifacts if os.path.isdir(path) else there.log_artifact)(path, folder or None)  # type: ignore[no-untyped-call]

        self._try(f"artifact {path}", keep)

    def model(self, path: str, registered: str | None) -> None:
        """Keep a model as an entry of the store, which is asked for it before each attempt to make it."""
        with once():
            self._try("the model", lambda: model_entry.record(self._client, self.run_id, Path(path), registered))

    def end(self, status: str, at: int) -> None:
        """Set the status."""
        self._try("status", lambda: self._client.set_terminated(self.run_id, status, at))

    def _settle(self, points: Sequence[Point], write: Callable[[], object]) -> None:
        try:
            self._store.ask(write)
        except TrackingError:
            raise
        except Exception as error:
            self._check_there()
            if len(points) > 1:
                middle = len(points) // 2
                for half in (points[:middle], points[middle:]):
                    self._settle(half, partial(self._store.write, self.run_id, half))
                return
            key, value, step, _ = points[0]
            self._note(f"{key} = {value} at step {step}", error)

    def _batch(self, what: str, items: Sequence[Any], write: Callable[[Sequence[Any]], object]) -> None:
        try:
            self._store.ask(lambda: write(items))
        except TrackingError:
            raise
        except Exception as error:
            self._check_there()
            if len(items) > 1:
                middle = len(items) // 2
                self._batch(what, items[:middle], write)
                self._batch(what, items[middle:], write)
                return
            self._note(f"{what} {items[0].key}", error)

    def _try(self, what: str, call: Callable[[], object]) -> None:
        try:
            self._store.ask(call)
        except TrackingError:
            raise
        except Exception as error:
            self._check_there()
            self._note(what, error)

    def _note(self, what: str, error: Exception) -> None:
        self._refuse(what, in_one_line(error))
        if len(self._refused) < _LISTED and what != "tag weft.refused":
            self._refused[what] = None
            self.tags({"weft.refused": "; ".join(self._refused)})

    def _note_non_finite(self, points: Sequence[Point]) -> None:
        known = len(self._non_finite)
        self._non_finite |= {key: None for key, value, _, _ in points if not math.isfinite(value)}
        if known < len(self._non_finite) and known <= _LISTED:
            keys = list(self._non_finite)
            self.tags({"weft.non_finite": ", ".join(keys[:_LISTED]) + (f", {_MARKER}" if keys[_LISTED:] else "")})

    def _check_there(self) -> None:
        """Raises:
        Gone: the run has been deleted: then nothing of it will pass.
        """
        _active(self._store, self.run_id)


def resume(store: Store, run_id: str, refuse: Refuse) -> Delivery:
    """Go on with a run that was begun.

    Raises:
        OutOfReach: whether it is there can't be told at present.
        Gone: it is deleted.
    """
    return Delivery(store, _active(store, run_id), refuse)


def begin(store: Store, opening: Mapping[str, Any], refuse: Refuse) -> Delivery:
    """Open the run that an opening describes: the one whose tag `weft.key` it bears, or the one it names, or a new one.

    Raises:
        OutOfReach: whether there is one can't be told at present.
        Gone: it is deleted.
    """
    tags = _given_tags({**opening["tags"], "weft.key": opening["key"]})
    known = _known(store, opening)
    run = _active(store, known) if known else _created(store, opening, tags)
    delivery = Delivery(store, run, refuse)
    if run.info.status != "RUNNING":
        store.ask(lambda: store.client.update_run(delivery.run_id, status="RUNNING"))
    if "weft.error" in run.data.tags:  # of an attempt before this one
        store.ask(lambda: store.client.delete_tag(delivery.run_id, "weft.error"))
    delivery.tags({key: value for key, value in tags.items() if run.data.tags.get(key) != value})
    delivery.params(opening["params"], run.data.params)
    if opening["dataset"] is not None:
        delivery.dataset(**opening["dataset"])
    return delivery


def _active(store: Store, run_id: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        run = store.ask(lambda: store.client.get_run(run_id))
    except MlflowException as error:
        raise Gone(f"{shown(store.uri)}: has no run {run_id} any more ({in_one_line(error)})") from None
    if run.info.lifecycle_stage != "active":
        raise Gone(f"run {run_id} in {shown(store.uri)} is deleted: restore it (mlflow runs restore --run-id {run_id})")
    return run


def _listed(run: Any, tag: str, between: str) -> list[str]:
    return [item for item in run.data.tags.get(tag, "").split(between) if item and item != _MARKER]


def _known(store: Store, opening: Mapping[str, Any]) -> str | None:
    """Return the run that is meant, where the store has one."""
    from mlflow.exceptions import MlflowException

    if opening["run_id"] is not None:
        try:
            store.ask(lambda: store.client.get_run(opening["run_id"]))
            return str(opening["run_id"])
        except MlflowException:
            pass  # of another store: this one gets a run of its own
    experiment = store.experiment(opening["experiment"], opening["artifact_root"])
    found = store.runs(opening["key"], [experiment])
    active = [run for run in found if run.info.lifecycle_stage == "active"]
    for late in active[1:]:  # made by a request that was given up as lost, and arrived after all
        store.ask(partial(store.client.delete_run, late.info.run_id))
    return str((active or found)[0].info.run_id) if found else None


def _created(store: Store, opening: Mapping[str, Any], tags: Mapping[str, str]) -> Any:
    """Make the run, with its tags; without, where the store refuses one of them. Whether a request that got no answer did so is
    asked the next time round."""
    from mlflow.exceptions import MlflowException

    experiment = store.experiment(opening["experiment"], opening["artifact_root"])
    name = {"mlflow.runName": _shortened(_text(opening["name"]), _NAME_LENGTH) or opening["key"]}

    def create(tags: Mapping[str, str]) -> Any:
        with once():
            return store.ask(lambda: store.client.create_run(experiment, opening["time"], {**tags, **name}))

    try:
        return create(tags)
    except MlflowException:
        return create({"weft.key": opening["key"]})


def cut_params(params: Mapping[str, str]) -> dict[str, str]:
    """Return params as the store keeps them."""
    return {key: _shortened(value, _PARAM_LENGTH) for key, value in _given_params(params).items()}


def _given_params(params: Mapping[str, str]) -> dict[str, str]:
    names = Names()
    return {names[key]: _text(value) for key, value in params.items()}


def _given_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {mended(key): _shortened(_text(value), _TAG_LENGTH) for key, value in tags.items()}


def _text(value: str) -> str:
    """Return a text that any database takes."""
    return value.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _shortened(value: str, length: int) -> str:
    return value if len(value) <= length else value[: length - len(_MARKER)] + _MARKER


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
