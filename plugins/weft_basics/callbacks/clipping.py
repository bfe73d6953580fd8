"""Gradient clipping, after the true gradients were recorded."""

from typing import Annotated

from torch import nn

from weft import Callback, Range, Run


class ClipNorm(Callback):
    """Scales the gradients down so that their norm, over all weights, is at most `limit` (Pascanu et al. 2013)."""

    def __init__(self, limit: Annotated[float, Range(1e-9, 1e9, log=True), "greatest norm"] = 1.0):
        self.limit = limit

    def on_gradients(self, run: Run) -> None:
        nn.utils.clip_grad_norm_(run.model.parameters(), self.limit)


class ClipValue(Callback):
    """Cuts every element of the gradients at ± `limit`."""

    def __init__(self, limit: Annotated[float, Range(1e-9, 1e9, log=True), "greatest size of an element"] = 1.0):
        self.limit = limit

    def on_gradients(self, run: Run) -> None:
        nn.utils.clip_grad_value_(run.model.parameters(), self.limit)
