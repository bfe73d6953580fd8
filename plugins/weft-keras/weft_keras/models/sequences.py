"""How a sample is read as a sequence: tokens, rows of numbers, or the rows of an image."""

from __future__ import annotations

from typing import Any


def entered(keras: Any, inputs: tuple[int, ...], vocabulary: int | None, width: int, model: str) -> tuple[Any, Any, Any]:
    """Return where samples enter, what of it is tokens (or None), and a sequence (N, length, features) made of it.

    Tokens are embedded in `width` numbers; of images (channels, height, width) the rows are the steps, channels side by side.

    Raises:
        ValueError: the samples aren't sequences.
    """
    if vocabulary is not None:
        if len(inputs) != 1:
            raise ValueError(f"{model} takes tokens of shape [length], not samples of shape {list(inputs)}")
        tokens = keras.Input(inputs, dtype="int64")
        return tokens, tokens, keras.layers.Embedding(vocabulary, width, name="embedding")(tokens)
    if len(inputs) not in (2, 3):
        raise ValueError(
            f"{model} takes sequences of shape [length, features] or [channels, length, features], "
            f"not samples of shape {list(inputs)}"
        )
    entering = steps = keras.Input(inputs)
    if len(inputs) == 3:
        channels, length, features = inputs
        rows = keras.layers.Permute((2, 1, 3), name="rows")(entering)
        steps = keras.layers.Reshape((length, channels * features), name="side_by_side")(rows)
    return entering, None, steps
