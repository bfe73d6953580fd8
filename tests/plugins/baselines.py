"""What is known without learning: the figures that a network is to beat."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from weft_basics.datasets.dataset import Dataset
from weft_basics.sequences import IGNORED, PADDING

Pair = tuple[Tensor, Tensor]
Numbers = NDArray[np.int64]

ORDER = 3


def trigram_bits(train: Pair, test: Pair, vocabulary: int) -> float:
    """Return the bits a token that a trigram model of the training samples needs for the test's targets.

    It knows what a network knows, the inputs of the same sample, and no more of them than the last two. Probabilities are
    interpolated from three tokens down to none: P(t | c) = (n(c t) + u(c) P(t | shorter c)) / (n(c) + u(c)), where u(c) is
    how many different tokens follow c (Witten and Bell 1991, method C, as in Chen and Goodman 1999), and at the end of it
    all tokens but padding are equally probable.
    """
    trained, trained_targets = _contexts(*train)
    tested, tested_targets = _contexts(*test)
    probabilities = np.full(len(tested_targets), 1 / (vocabulary - 1))
    for known in range(ORDER):
        contexts = _codes(trained[:, :known], vocabulary)
        asked = _codes(tested[:, :known], vocabulary)
        followed = _counts(np.unique(contexts * vocabulary + trained_targets) // vocabulary, asked)
        met = _counts(contexts, asked)
        together = _counts(contexts * vocabulary + trained_targets, asked * vocabulary + tested_targets)
        seen = met > 0
        mixed = together[seen] + followed[seen] * probabilities[seen]
        probabilities[seen] = mixed / (met[seen] + followed[seen])
    return float(-np.log2(probabilities).mean())


def majority_accuracy(dataset: Dataset) -> float:
    """Return the share of the test's labels that are right where each token gets the one it has most in training; a token
    that training doesn't hold gets the one that is most frequent of all."""
    tokens, labels = _labelled(*dataset.train)
    counts = np.zeros((dataset.vocabulary or 0, dataset.outputs), np.int64)
    np.add.at(counts, (tokens, labels), 1)
    counts[counts.sum(axis=1) == 0] = counts.sum(axis=0)
    tokens, labels = _labelled(*dataset.test)
    return float((counts.argmax(axis=1)[tokens] == labels).mean())


def _contexts(inputs: Tensor, targets: Tensor) -> tuple[Numbers, Numbers]:
    """Return the last tokens (M, ORDER - 1) before each of the M targets, the nearest first, and these (M,)."""
    length = inputs.shape[1]
    before = torch.nn.functional.pad(inputs, (ORDER - 2, 0), value=PADDING)
    last = torch.stack([before[:, ORDER - 2 - back :][:, :length] for back in range(ORDER - 1)], -1)
    counted = targets != IGNORED
    return last[counted].numpy(), targets[counted].numpy()


def _codes(contexts: Numbers, vocabulary: int) -> Numbers:
    """Return one number for each context (M, known)."""
    return contexts @ vocabulary ** np.arange(contexts.shape[1], dtype=np.int64)


def _counts(codes: Numbers, asked: Numbers) -> Numbers:
    """Return how often each code that is asked for is among the codes."""
    distinct, counts = np.unique(codes, return_counts=True)
    places = np.searchsorted(distinct, asked).clip(max=len(distinct) - 1)
    return np.where(distinct[places] == asked, counts[places], 0)


def _labelled(inputs: Tensor, targets: Tensor) -> tuple[Numbers, Numbers]:
    counted = targets != IGNORED
    return inputs[counted].numpy(), targets[counted].numpy()
