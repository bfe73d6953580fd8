"""Recurrent networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from weft import Range
from weft_basics.models.steps import is_at_each_step
from weft_keras.backend import settings_of_a_model
from weft_keras.initialisation import Initializer, begin_as_torch, of_keras, seeded_by_torch
from weft_keras.models.sequences import entered

if TYPE_CHECKING:
    from weft_keras.model import KerasModel


def rnn(
    inputs: tuple[int, ...],
    outputs: int,
    vocabulary: int | None = None,
    task: str = "classification",
    cell: Literal["lstm", "gru", "rnn"] = "lstm",
    hidden: Annotated[int, Range(1, 8192, log=True), "units in a layer, for each direction"] = 64,
    layers: Annotated[int, Range(1, 16), "recurrent layers on top of each other"] = 1,
    pooling: Annotated[
        Literal["last", "mean"], "state that an answer for a whole sequence is given by; a mean forgets no beginning"
    ] = "last",
    bidirectional: Annotated[bool, "read from the last step to the first as well"] = False,
    embedding: Annotated[int, Range(1, 4096, log=True), "numbers that stand for a token"] = 32,
    initializer: Annotated[Initializer, "how kernels begin; torch: all weights as torch's layers have them"] = "glorot_uniform",
) -> KerasModel:
    """Keras's recurrent layers, read from the first step to the last, then a Dense layer.

    Samples are sequences (N, length, features), images read row by row with their channels side by side, or, where the
    dataset has a vocabulary, tokens (N, length), which are embedded. A task that asks for an answer at each step has the layer
    after every state: (N, length, outputs). Else it comes after the last one or their mean, padding aside: (N, outputs).
    Cells: LSTM (lstm), GRU (gru), SimpleRNN (rnn).

    Raises:
        ValueError: samples that aren't sequences; both directions where the next token is to be told, which one of them sees.
    """
    if bidirectional and task == "language_modelling":
        raise ValueError("bidirectional=true sees the next token, and this dataset asks for it; take false")
    with settings_of_a_model() as keras, seeded_by_torch():
        from weft_keras.model import KerasModel
        from weft_keras.steps import Last, Mean, Reversed

        kernels = of_keras(initializer)
        kind = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "rnn": keras.layers.SimpleRNN}[cell]
        entering, tokens, states = entered(keras, inputs, vocabulary, embedding, "keras_rnn")
        padding = () if tokens is None else (tokens,)
        ways: list[Any] = []
        for number in range(layers):
            read = kind(hidden, return_sequences=True, kernel_initializer=kernels, name=f"forward_{number}")
            ways = [read(states)]
            if bidirectional:
                read = kind(hidden, return_sequences=True, kernel_initializer=kernels, name=f"backward_{number}")
                turned = read(Reversed(name=f"reversed_{number}")(states, *padding))
                ways.append(Reversed(name=f"turned_back_{number}")(turned, *padding))
            states = keras.layers.Concatenate(name=f"both_{number}")(ways) if bidirectional else ways[0]
        if not is_at_each_step(task):
            if pooling == "mean":
                states = Mean(name="mean")(states, *padding)
            else:
                # What a direction has kept of the whole sequence stands where it ends: for the backward one, that is the start.
                states = Last(name="last")(ways[0], *padding)
                if bidirectional:
                    first = Last(name="first")(Reversed(name="from_the_start")(ways[1], *padding), *padding)
                    states = keras.layers.Concatenate(name="both")([states, first])
        scores = keras.layers.Dense(outputs, kernel_initializer=kernels, name="output")(states)
        net = keras.Model(entering, scores, name="keras_rnn")
        for layer in net.layers:
            if initializer == "torch" and layer.weights:
                begin_as_torch(layer)
        return KerasModel(net)
