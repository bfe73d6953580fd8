"""How a sample is read as a sequence: tokens, rows of numbers, or the rows of an image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft_basics.sequences import AT_EACH_STEP, PADDING


def is_at_each_step(task: str) -> bool:
    """Whether a task asks for an answer at each step of a sequence, rather than for one a sample."""
    return task in AT_EACH_STEP


def features(inputs: tuple[int, ...], model: str) -> int:
    """Return how many numbers a step of a sample that isn't tokens has.

    Raises:
        ValueError: the samples aren't sequences.
    """
    if len(inputs) not in (2, 3):
        raise ValueError(
            f"{model} takes sequences of shape [length, features] or [channels, length, features], "
            f"not samples of shape {list(inputs)}"
        )
    return inputs[-1] * (inputs[0] if len(inputs) == 3 else 1)


def embedding(inputs: tuple[int, ...], vocabulary: int, size: int, model: str) -> nn.Embedding:
    """Return what makes `size` numbers of each token.

    Raises:
        ValueError: the samples aren't sequences.
    """
    if len(inputs) != 1:
        raise ValueError(f"{model} takes tokens of shape [length], not samples of shape {list(inputs)}")
    return nn.Embedding(vocabulary, size)


def rows(inputs: Tensor) -> Tensor:
    """Return (N, length, features) as it is; of images (N, channels, length, features) the rows, channels side by side."""
    return inputs.transpose(1, 2).flatten(2) if inputs.ndim == 4 else inputs


def mean(states: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean (N, width) of the states (N, length, width) at the steps of each sample, padding aside."""
    counted = (torch.arange(states.shape[1], device=states.device) < lengths.unsqueeze(1)).unsqueeze(2)
    return (states * counted).sum(1) / lengths.unsqueeze(1)


def lengths(inputs: Tensor) -> Tensor:
    """Return the length (N,) of each sample: where it is tokens (N, length), without padding at its end, but 1 at least."""
    if inputs.ndim != 2:
        return torch.full((len(inputs),), inputs.shape[-2], device=inputs.device)
    places = torch.arange(1, inputs.shape[1] + 1, device=inputs.device)
    return (places * (inputs != PADDING)).amax(1).clamp_min(1)
