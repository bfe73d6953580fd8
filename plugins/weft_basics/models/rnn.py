"""Recurrent networks."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from weft import Range
from weft_basics.models import steps

_CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class RNN(nn.Module):
    """A recurrent network, read from the first step to the last, then a linear layer.

    Samples are sequences (N, length, features), images read row by row with their channels side by side, or, where the
    dataset has a vocabulary, tokens (N, length), which are embedded. A task that asks for an answer at each step has the layer
    after every state: (N, length, outputs). Else it comes after the last one or their mean, padding aside: (N, outputs).
    Cells: Elman 1990 (rnn), Hochreiter and Schmidhuber 1997 (lstm), Cho et al. 2014 (gru).

    Raises:
        ValueError: samples that aren't sequences; both directions where the next token is to be told, which one of them sees.
    """

    def __init__(
        self,
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
    ):
        super().__init__()
        if bidirectional and task == "language_modelling":
            raise ValueError("bidirectional=true sees the next token, and this dataset asks for it; take false")
        if vocabulary is None:
            self.embedding: nn.Module = nn.Identity()
            features = steps.features(inputs, "rnn")
        else:
            self.embedding = steps.embedding(inputs, vocabulary, embedding, "rnn")
            features = embedding
        self.recurrent = _CELLS[cell](features, hidden, layers, batch_first=True, bidirectional=bidirectional)
        self.output = nn.Linear(hidden * (2 if bidirectional else 1), outputs)
        self.pooling = pooling
        self.is_at_each_step = steps.is_at_each_step(task)

    def forward(self, inputs: Tensor) -> Tensor:
        lengths = steps.lengths(inputs)
        states = self._states(self.embedding(steps.rows(inputs)), lengths)
        if not self.is_at_each_step:
            states = self._last(states, lengths) if self.pooling == "last" else steps.mean(states, lengths)
        outputs: Tensor = self.output(states)
        return outputs

    def _states(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        length = sequences.shape[1]
        if not self.recurrent.bidirectional or bool((lengths == length).all()):
            states: Tensor = self.recurrent(sequences)[0]
            return states
        # From the end, padding would be read first: packed, a sequence ends where it ends. It takes several times as long.
        packed = pack_padded_sequence(sequences, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=length)[0]

    def _last(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Return what was kept (N, units) of a whole sequence: of the backward direction, that is at its first step."""
        last = states[torch.arange(len(states), device=states.device), lengths - 1]
        if not self.recurrent.bidirectional:
            return last
        hidden = self.recurrent.hidden_size
        return torch.cat([last[:, :hidden], states[:, 0, hidden:]], dim=1)
