"""What everything that handles sequences agrees on: tokens with a meaning of their own, and targets that don't count."""

from __future__ import annotations

from torch import Tensor

PADDING = 0
"""The token that fills a sequence up to the length that all have in a tensor. Models leave it out of account."""
UNKNOWN = 1
"""The token of what the training samples don't hold."""
IGNORED = -100
"""The target of a place that has none, such as padding: losses and metrics pass it over. torch's own number for it."""

ONE_LABEL = ("classification",)
AT_EACH_STEP = ("sequence_labelling", "language_modelling")
LABELS = (*ONE_LABEL, *AT_EACH_STEP)
"""Tasks whose targets are labels: one a sample, or one a place of a sequence."""


def places(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores (M, C) and labels (M,) of all M places that have a label.

    Args:
        outputs: (N, C), or (N, length, C).
        targets: (N,) labels, likewise (N, length), where IGNORED is none.
    """
    if targets.ndim == 1:
        return outputs, targets
    counted = targets != IGNORED
    return outputs[counted], targets[counted]
