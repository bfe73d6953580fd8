"""The generators that parts may draw from: Python's, NumPy's and torch's, seeded, kept and put back together."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators."""
    seed %= 2**32  # as many as NumPy takes
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def derived(seed: int, purpose: str) -> int:
    """Return another seed for a purpose. Added numbers would not do: runs with neighbouring seeds would share their draws."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {seed}".encode()).digest()[:4], "big")


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of every generator that a part may draw from."""
    version, internal, gauss = random.getstate()
    numpy: Any = np.random.get_state(legacy=False)
    state: dict[str, Any] = {
        "python": [version, list(internal), gauss],
        "numpy": {**numpy, "state": {**numpy["state"], "key": torch.from_numpy(numpy["state"]["key"].astype(np.int64))}},
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Put every generator back."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    keys = state["numpy"]["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state({**state["numpy"], "state": {**state["numpy"]["state"], "key": keys}})
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])


@contextlib.contextmanager
def kept_randomness(device: torch.device) -> Iterator[None]:
    """Put every generator back at the end: what draws inside leaves a notebook's own randomness as it was."""
    state = random_state(device)
    try:
        yield
    finally:
        restore_random_state(state, device)
