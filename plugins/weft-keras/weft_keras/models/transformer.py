"""The transformer: an encoder, and where the next token is to be told a causal decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from torch import nn

from weft import Choice, Range
from weft_basics.models.steps import is_at_each_step
from weft_keras.backend import settings_of_a_model
from weft_keras.initialisation import seeded_by_torch
from weft_keras.models.sequences import entered

if TYPE_CHECKING:
    from weft_keras.model import KerasModel


def transformer(
    inputs: tuple[int, ...],
    outputs: int,
    vocabulary: int | None = None,
    task: str = "classification",
    width: Annotated[int, Range(1, 16384, log=True), "numbers that stand for a step"] = 64,
    depth: Annotated[int, Range(1, 128), "layers of attention"] = 2,
    heads: Annotated[int, Range(1, 256, log=True), "of each layer"] = 4,
    activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "gelu",  # type: ignore[assignment]
) -> KerasModel:
    """Layers of Keras's MultiHeadAttention on a sequence, then a Dense layer: at each step, or on the mean over the steps.

    Samples are as the keras_rnn's. An answer at each step is (N, length, outputs), one a sample (N, outputs); padding is not
    attended to. Where the next token is to be told, a step attends to itself and those before it only. Positions are learned,
    and normalization comes first. Weights begin as Keras's layers have them.

    Raises:
        ValueError: samples that aren't sequences; a width that the heads can't share evenly.
    """
    if width % heads:
        raise ValueError(f"width={width} can't be shared by heads={heads} evenly")
    with settings_of_a_model() as keras, seeded_by_torch():
        from weft_keras.activated import Activated
        from weft_keras.model import KerasModel
        from weft_keras.steps import Attended, Mean, Positions

        layers = keras.layers
        entering, tokens, states = entered(keras, inputs, vocabulary, width, "keras_transformer")
        if tokens is None:
            states = layers.Dense(width, name="embedding")(states)
        states = Positions(name="positions")(states)
        looking: dict[str, Any] = {"use_causal_mask": task == "language_modelling"}
        if tokens is not None:
            looking["attention_mask"] = Attended(name="attended")(tokens)
        for number in range(depth):
            normal = layers.LayerNormalization(name=f"attention_norm_{number}")(states)
            attention = layers.MultiHeadAttention(heads, width // heads, name=f"attention_{number}")
            states = layers.Add(name=f"attended_{number}")([states, attention(normal, normal, **looking)])
            normal = layers.LayerNormalization(name=f"hidden_norm_{number}")(states)
            hidden = Activated(activation(), name=f"activation_{number}")(
                layers.Dense(4 * width, name=f"hidden_{number}")(normal)
            )
            states = layers.Add(name=f"added_{number}")([states, layers.Dense(width, name=f"output_{number}")(hidden)])
        states = layers.LayerNormalization(name="norm")(states)
        if not is_at_each_step(task):
            states = Mean(name="mean")(states) if tokens is None else Mean(name="mean")(states, tokens)
        scores = layers.Dense(outputs, name="output")(states)
        return KerasModel(keras.Model(entering, scores, name="keras_transformer"))
