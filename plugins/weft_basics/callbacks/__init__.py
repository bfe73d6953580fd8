"""Callbacks, by name."""

from typing import Any


def register_callbacks(register: Any) -> None:
    """Offer each under its name."""
    register("weft_basics.callbacks.early_stopping:EarlyStopping", name="early_stopping")
    register("weft_basics.callbacks.clipping:ClipNorm", name="clip_norm")
    register("weft_basics.callbacks.clipping:ClipValue", name="clip_value")
    register("weft_basics.callbacks.plateau:ReduceOnPlateau", name="reduce_on_plateau")
