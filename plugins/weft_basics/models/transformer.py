"""The transformer: an encoder, and where the next token is to be told a causal decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft import Choice, Range
from weft_basics.models import steps


class Attention(nn.Module):
    """Multi-head attention of a sequence to itself: (N, length, width) -> (N, length, width).

    Each head's answer at a place is a mean of its values, weighted by the softmax of query · key / sqrt(width / heads).
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.queries, self.keys, self.values, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Attend where `mask` (N, 1, length, length) is true."""
        queries, keys, values = (self._split(project(states)) for project in (self.queries, self.keys, self.values))
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        attended: Tensor = self.output(found.transpose(1, 2).flatten(2))
        return attended

    def _split(self, states: Tensor) -> Tensor:
        return states.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Attention, then two linear layers at each place, each on what is normalized, and added to what came in."""

    def __init__(self, width: int, heads: int, activation: Callable[[], nn.Module]):
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.hidden_norm, self.hidden = nn.LayerNorm(width), nn.Linear(width, 4 * width)
        self.activation = activation()
        self.output = nn.Linear(4 * width, width)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        states = states + self.attention(self.attention_norm(states), mask)
        added: Tensor = self.output(self.activation(self.hidden(self.hidden_norm(states))))
        return states + added


class Transformer(nn.Module):
    """Layers of attention on a sequence, then a linear layer: at each step, or on the mean over the steps.

    Samples are as the rnn's. An answer at each step is (N, length, outputs), one a sample (N, outputs); padding is not
    attended to. Where the next token is to be told, a step attends to itself and those before it only. Positions are learned.
    Vaswani et al., "Attention is all you need", 2017, with the normalization first (Xiong et al. 2020).

    Raises:
        ValueError: samples that aren't sequences; a width that the heads can't share evenly.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None = None,
        task: str = "classification",
        width: Annotated[int, Range(1, 16384, log=True), "numbers that stand for a step"] = 64,
        depth: Annotated[int, Range(1, 128), "layers of attention"] = 2,
        heads: Annotated[int, Range(1, 256, log=True), "of each layer"] = 4,
        activation: Annotated[Callable[[], nn.Module], Choice("activation")] = "gelu",  # type: ignore[assignment]
    ):
        super().__init__()
        if width % heads:
            raise ValueError(f"width={width} can't be shared by heads={heads} evenly")
        if vocabulary is None:
            self.embedding: nn.Module = nn.Linear(steps.features(inputs, "transformer"), width)
            length = inputs[-2]
        else:
            self.embedding = steps.embedding(inputs, vocabulary, width, "transformer")
            length = inputs[0]
        self.positions = nn.Embedding(length, width)
        for table in (self.embedding, self.positions):
            if isinstance(table, nn.Embedding):  # torch begins at a deviation of 1, which drowns what the blocks add
                nn.init.normal_(table.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads, activation) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, outputs)
        self.is_causal = task == "language_modelling"
        self.is_at_each_step = steps.is_at_each_step(task)

    def forward(self, inputs: Tensor) -> Tensor:
        states = self.embedding(steps.rows(inputs))
        length = states.shape[1]
        places = torch.arange(length, device=inputs.device)
        states = states + self.positions(places)
        lengths = steps.lengths(inputs)
        mask = (places < lengths.unsqueeze(1))[:, None, None, :].expand(-1, 1, length, -1)
        if self.is_causal:
            mask = mask & (places.unsqueeze(1) >= places)
        for block in self.blocks:
            states = block(states, mask)
        states = self.norm(states)
        if not self.is_at_each_step:
            states = steps.mean(states, lengths)
        outputs: Tensor = self.output(states)
        return outputs
