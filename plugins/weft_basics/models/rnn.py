"""Recurrent networks: the plain one, LSTM and GRU."""

from typing import Annotated, Literal

from torch import Tensor, nn

from weft import Range

_CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class RNN(nn.Module):
    """A recurrent network over a sequence, and a linear layer on its last state.

    Inputs are sequences of shape (batch, length, features); of images, (batch, channels, height, width), the rows are the
    sequence. With a vocabulary they are tokens of shape (batch, length), which are embedded first. Outputs are
    (batch, outputs). Elman 1990; Hochreiter and Schmidhuber 1997 (lstm); Cho et al. 2014 (gru).

    Raises:
        ValueError: the inputs are no sequence.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        cell: Annotated[Literal["lstm", "gru", "rnn"], "what remembers"] = "lstm",
        width: Annotated[int, Range(1, 65536, log=True), "units of a layer"] = 64,
        layers: Annotated[int, Range(1, 16), "one above the other"] = 1,
        bidirectional: Annotated[bool, "read it backwards as well"] = False,
    ):
        super().__init__()
        if vocabulary is not None:
            if len(inputs) != 1:
                raise ValueError(f"takes tokens of shape [length], not samples of shape {list(inputs)}")
            self.embedding: nn.Module = nn.Embedding(vocabulary, width)
            features = width
        elif len(inputs) in (2, 3):
            self.embedding = nn.Identity()
            features = inputs[-1] * (inputs[0] if len(inputs) == 3 else 1)
        else:
            raise ValueError(f"takes sequences of shape [length, features], not samples of shape {list(inputs)}")
        self.recurrent = _CELLS[cell](features, width, layers, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(width * (2 if bidirectional else 1), outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        sequence = self.embedding(inputs)
        if sequence.dim() == 4:
            sequence = sequence.permute(0, 2, 1, 3).flatten(2)
        states, _ = self.recurrent(sequence)
        return self.head(states[:, -1])
