"""Recurrent networks."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor, nn

from weft import Range

_CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class RNN(nn.Module):
    """A recurrent network read from the first step to the last; the last state goes through a linear layer.

    (N, length, features) -> (N, outputs). An image (N, channels, height, width) is read row by row, its channels side by
    side. Where the dataset has a vocabulary, (N, length) are tokens and are embedded. Cells: Elman 1990 (rnn), Hochreiter
    and Schmidhuber 1997 (lstm), Cho et al. 2014 (gru).

    Raises:
        ValueError: samples that aren't sequences.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        cell: Literal["lstm", "gru", "rnn"] = "lstm",
        hidden: Annotated[int, Range(1, 8192, log=True), "units in a layer"] = 64,
        layers: Annotated[int, Range(1, 16), "recurrent layers on top of each other"] = 1,
        embedding: Annotated[int, Range(1, 4096, log=True), "numbers that stand for a token"] = 32,
    ):
        super().__init__()
        if vocabulary is not None and len(inputs) != 1:
            raise ValueError(f"rnn takes tokens of shape [length], not samples of shape {list(inputs)}")
        if vocabulary is None and len(inputs) not in (2, 3):
            raise ValueError(
                f"rnn takes sequences of shape [length, features] or [channels, length, features], "
                f"not samples of shape {list(inputs)}"
            )
        self.embedding = nn.Identity() if vocabulary is None else nn.Embedding(vocabulary, embedding)
        features = embedding if vocabulary is not None else inputs[-1] * (inputs[0] if len(inputs) == 3 else 1)
        self.recurrent = _CELLS[cell](features, hidden, layers, batch_first=True)
        self.output = nn.Linear(hidden, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        steps = self.embedding(inputs)
        if steps.ndim == 4:
            steps = steps.transpose(1, 2).flatten(2)
        states, _ = self.recurrent(steps)
        outputs: Tensor = self.output(states[:, -1])
        return outputs
