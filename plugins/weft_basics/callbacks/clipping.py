"""Limits to the gradients, before the optimizer sees them and after everything that observes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from weft import Callback, Range

if TYPE_CHECKING:
    from weft import Run


class ClipNorm(Callback):
    """Scales all gradients down together, so that their Euclidean norm is at most `max_norm` (Pascanu et al. 2013)."""

    def __init__(self, max_norm: Annotated[float, Range(1e-6, 1e6, log=True), "of all gradients together"] = 1.0):
        self.max_norm = max_norm

    def on_gradients(self, run: Run) -> None:
        clip_grad_norm_(run.model.parameters(), self.max_norm)


class ClipValue(Callback):
    """Cuts each gradient's numbers off below -limit and above limit."""

    def __init__(self, limit: Annotated[float, Range(1e-6, 1e6, log=True), "of each number"] = 1.0):
        self.limit = limit

    def on_gradients(self, run: Run) -> None:
        clip_grad_value_(run.model.parameters(), self.limit)
