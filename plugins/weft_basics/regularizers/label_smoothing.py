"""Targets that are less sure of themselves."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import functional

from weft import Range


def smooth(targets: Tensor, classes: int, smoothing: float, dtype: torch.dtype) -> Tensor:
    """Return labels (N,) as probabilities (N, C): 1 - smoothing for the label, and smoothing shared by all classes."""
    return functional.one_hot(targets, classes).to(dtype) * (1 - smoothing) + smoothing / classes


class LabelSmoothing:
    """Each training target gives a share of itself to all classes alike.

    The same as the loss's own `label_smoothing`, but for training alone: losses on other splits stay comparable. Szegedy et
    al., "Rethinking the Inception architecture", 2016.

    Raises:
        ValueError: not a classification, a loss that can't take probabilities, or one that smooths or weighs classes itself.
    """

    tasks = ("classification",)

    def __init__(
        self,
        loss: Any,
        task: str,
        smoothing: Annotated[float, Range(0, 1), "share that is given to all classes alike"] = 0.1,
    ):
        if task != "classification":
            raise ValueError(f"label smoothing is for classification, and this dataset is {task}")
        own = getattr(loss, "label_smoothing", None)
        if own is None or not hasattr(loss, "outputs"):
            raise ValueError(
                f"label smoothing makes probabilities of labels; {type(loss).__name__} takes none, cross_entropy does"
            )
        if own:
            raise ValueError(f"the loss smooths labels already (label_smoothing={own:g}); choose one of the two")
        if getattr(loss, "class_weights", None) is not None:
            raise ValueError("with class weights, smooth labels in the loss: loss.label_smoothing=…")
        self.classes: int = loss.outputs
        self.smoothing = smoothing

    def batch(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs, and the labels (N,) as probabilities (N, C)."""
        dtype = inputs.dtype if inputs.is_floating_point() else torch.get_default_dtype()
        return inputs, smooth(targets, self.classes, self.smoothing, dtype)
