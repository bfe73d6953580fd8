"""How much of the right label is expected: what language models are compared by."""

from __future__ import annotations

import math
import sys

import torch
from torch import Tensor
from torch.nn import functional

from weft_basics.metrics.fitting import check_task
from weft_basics.sequences import IGNORED, LABELS


class BitsPerToken:
    """Mean of -log2 of the probability that the right label was given: for characters, bits a character.

    Outputs (N, C), targets (N,); or (N, length, C) and (N, length). log2 C is what guessing has (Shannon 1948).

    Raises:
        ValueError: the task has no labels.
    """

    tasks = LABELS
    higher_is_better = False

    def __init__(self, task: str):
        check_task(self, task)
        self.reset()

    def reset(self) -> None:
        self.nats: Tensor | float = 0.0
        self.labels: Tensor | int = 0

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        scores = outputs.flatten(0, -2).to(torch.promote_types(outputs.dtype, torch.float32))
        self.nats = self.nats + functional.cross_entropy(scores, targets.flatten(), ignore_index=IGNORED, reduction="sum")
        self.labels = self.labels + (targets != IGNORED).sum()

    def compute(self) -> float:
        return float(self.nats) / int(self.labels) / math.log(2) if self.labels else float("nan")


class Perplexity(BitsPerToken):
    """2 to the power of bits_per_token: among how many equally probable labels the choice is, on average.

    Infinite where that is more than a number can be, from 1024 bits on.
    """

    def compute(self) -> float:
        bits = super().compute()
        return math.inf if bits >= sys.float_info.max_exp else 2.0**bits
