"""A catalog of toys alone, and runs made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import weft
from tests.core.toys import TOYS
from weft import catalog as catalog_module
from weft import configuration
from weft.catalog import catalog
from weft.experiment import prepare
from weft.randomness import derived, seed_everything
from weft.state import Run
from weft.telemetry.tracker import MemoryTracker

MakeRun = Callable[..., Run]


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No plugins but the toys."""
    monkeypatch.setenv("WEFT_PLUGINS", "")
    catalog.cache_clear()
    for kind, factory, name in TOYS:
        weft.register(kind, factory, name)
    yield
    catalog_module._local.clear()
    catalog.cache_clear()


@pytest.fixture
def make_run(toys: None) -> MakeRun:
    """Prepare a run of toys: `make_run(model={"width": 4}, optimizer="moments", epochs=2, callbacks=[…])`."""

    def make(callbacks: tuple[weft.Callback, ...] = (), **values: Any) -> Run:
        tree: dict[str, Any] = {"dataset": "blobs", "model": "net", "optimizer": "descent", "threads": 1, **values}
        names = {"dataset": "blobs", "model": "net", "optimizer": "descent"}
        for kind, name in names.items():
            if isinstance(tree[kind], dict):
                tree[kind] = {"name": name, **tree[kind]}
        run = prepare(configuration.read(tree, catalog()), catalog())
        run.observer.tracker = MemoryTracker()
        run.callbacks = {str(index): callback for index, callback in enumerate(callbacks)}
        run.listen()
        seed_everything(derived(run.configuration.settings.seed, "training"))
        return run

    return make
