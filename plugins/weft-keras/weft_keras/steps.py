"""Layers for sequences that end before their tensor does: tokens (N, length), where 0 fills up a sample at its end.

Keras has masks for this, which go along with its tensors and have its recurrent layers run step by step. These take the tokens
themselves; a recurrent layer before them runs over the padding as well, and what it makes of that is passed over.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from weft_basics.models.steps import lengths, mean
from weft_keras.backend import keras_on_torch

keras = keras_on_torch()


class Reversed(keras.Layer):  # type: ignore[name-defined]
    """States (N, length, width) from the last step of each sample to its first; what is padding stays where it is."""

    def call(self, states: Tensor, tokens: Tensor | None = None) -> Tensor:
        if tokens is None:
            return states.flip(1)
        steps = torch.arange(states.shape[1], device=states.device)
        ends = lengths(tokens).unsqueeze(1)
        places = torch.where(steps < ends, ends - 1 - steps, steps)
        return states.gather(1, places.unsqueeze(2).expand_as(states))

    def compute_output_spec(self, states: Any, tokens: Any = None) -> Any:
        """Return the same shape."""
        return keras.KerasTensor(states.shape, states.dtype)


class Last(keras.Layer):  # type: ignore[name-defined]
    """The state (N, width) at the last step of each sample, of states (N, length, width)."""

    def call(self, states: Tensor, tokens: Tensor | None = None) -> Tensor:
        if tokens is None:
            return states[:, -1]
        ends = (lengths(tokens) - 1)[:, None, None].expand(-1, 1, states.shape[2])
        return states.gather(1, ends).squeeze(1)

    def compute_output_spec(self, states: Any, tokens: Any = None) -> Any:
        """Return the shape without the steps."""
        return keras.KerasTensor((states.shape[0], states.shape[2]), states.dtype)


class Mean(keras.Layer):  # type: ignore[name-defined]
    """The mean (N, width) over the steps of each sample, of states (N, length, width)."""

    def call(self, states: Tensor, tokens: Tensor | None = None) -> Tensor:
        if tokens is None:
            return states.mean(1)
        return mean(states, lengths(tokens))

    def compute_output_spec(self, states: Any, tokens: Any = None) -> Any:
        """Return the shape without the steps."""
        return keras.KerasTensor((states.shape[0], states.shape[2]), states.dtype)


class Attended(keras.Layer):  # type: ignore[name-defined]
    """Where attention may look in tokens (N, length): at a sample's steps, not at its padding, as a mask (N, 1, length)."""

    def call(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return (places < lengths(tokens).unsqueeze(1)).unsqueeze(1)

    def compute_output_spec(self, tokens: Any) -> Any:
        """Return the mask's shape."""
        return keras.KerasTensor((tokens.shape[0], 1, tokens.shape[1]), "bool")


class Positions(keras.Layer):  # type: ignore[name-defined]
    """States (N, length, width) with learned numbers added at each place, which say where in the sequence it is."""

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=shape[1:], initializer="random_uniform", name="table")

    def call(self, states: Tensor) -> Tensor:
        found: Tensor = states + self.table.value
        return found

    def compute_output_spec(self, states: Any) -> Any:
        """Return the same shape."""
        return keras.KerasTensor(states.shape, states.dtype)
