"""Imported by the server that jobs are forked from: what jobs would else import each for itself.

It is one thread, and has no CUDA context: a fork of it may start its own. The parts that a sweep is made of are loaded as well,
those that their datasets' tasks bring along among them; one that doesn't load is left for its job to tell of, and one whose
plugin starts threads is left for each job to import, since a fork would be without them.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from weft.importing import uncollected

with uncollected():
    import torch._dynamo  # noqa: F401 (else the first optimizer imports it, for 1.3 s)
    from PIL import Image, ImageDraw  # noqa: F401

    from weft.build import build
    from weft.catalog import catalog
    from weft.configuration import default_part
    from weft.errors import WeftError
    from weft.sweep import job, probe  # noqa: F401
    from weft.sweep.process import PRELOADED
    from weft.telemetry import heatmap, provenance


def _parts() -> Iterator[tuple[str, str]]:
    """Yield kind and name of each part that is to be loaded."""
    with contextlib.suppress(OSError):  # nobody has said by now
        for kind, name in json.loads(Path(os.environ.get(PRELOADED, "")).read_text()):
            yield kind, name
    for name in catalog().names("task"):
        with contextlib.suppress(WeftError):
            if _load("task", name):
                task = build(default_part("task", name, catalog()), catalog())
                yield "loss", task.loss
                yield from (("metric", metric) for metric in task.metrics)


def _load(kind: str, name: str) -> bool:
    """Load a part, if that is for a server to do."""
    component = catalog().find(kind, name)
    if component.plugin in catalog().threaded:
        return False
    catalog().load(component)
    return True


if PRELOADED in os.environ:
    # A fork that is interrupted before it is weft's would print multiprocessing's traceback: that waits until it can be heard.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

with uncollected():
    provenance.remember()
    for kind, name in _parts():
        with contextlib.suppress(WeftError):
            _load(kind, name)
    Image.preinit()
    heatmap.font()
    gc.freeze()  # a collection in a fork would touch, and so copy, all that it shares with this process
