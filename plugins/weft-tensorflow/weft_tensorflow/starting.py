"""How TensorFlow comes into a process: once, without a word, on as many threads as torch has, and on no GPU."""

from __future__ import annotations

import contextlib
import functools
import os
import warnings
from collections.abc import Iterator
from typing import Any

import torch

_MEANWHILE = {
    "TF_CPP_MIN_LOG_LEVEL": "3",  # nothing below a fatal error; TensorFlow reads this once
    "TF_USE_LEGACY_KERAS": "1",  # else it imports Keras at once, for half of its time; `tf.keras` comes when it is first used
}
"""Variables while TensorFlow is imported, where they aren't set."""


@functools.cache
def tensorflow() -> Any:
    """Import TensorFlow and return it. A process in which it computes already keeps its threads and devices.

    Threads: TensorFlow takes their number before its first operation, and never again; it is torch's at that moment.
    """
    with _environment_as_it_was(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what TensorFlow itself imports
        os.environ.update(_MEANWHILE | os.environ)
        import tensorflow
    with contextlib.suppress(RuntimeError):  # it computes already: what it was set to stays
        tensorflow.config.threading.set_intra_op_parallelism_threads(torch.get_num_threads())
        tensorflow.config.threading.set_inter_op_parallelism_threads(torch.get_num_threads())
        # Weights are torch's, and go there and back by memory that both can see. A GPU build would take most of a GPU's memory.
        tensorflow.config.set_visible_devices([], "GPU")
    return tensorflow


@contextlib.contextmanager
def _environment_as_it_was() -> Iterator[None]:
    """Undo what is done to the environment inside: TensorFlow and what it imports leave half a dozen variables behind."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in [name for name in os.environ if name not in before]:
            del os.environ[name]
        os.environ.update(before)
