"""Digits of which some say that they are another."""

from __future__ import annotations

from typing import Annotated

import torch
from sklearn.datasets import load_digits

from weft import Range


class MislabelledDigits:
    """Handwritten digits of which a share has wrong labels, in training alone: valid and test are right.

    Inputs (N, 1, 8, 8) from 0 (white) to 1 (black), targets (N,) labels from 0 to 9. A wrong label is any of the other
    nine. 70 % of the 1797 samples train, 15 % each validate and test. From scikit-learn; UCI's "Optical recognition of
    handwritten digits", Alpaydin and Kaynak 1998.
    """

    task = "classification"
    inputs = (1, 8, 8)
    outputs = 10
    classes = tuple("0123456789")
    source = "sklearn.datasets.load_digits"

    def __init__(
        self,
        split_seed: int,
        wrong: Annotated[float, Range(0, 1), "share of the training labels that are wrong"] = 0.4,
        seed: Annotated[int, Range(0, 2**32 - 1), "of the wrong labels"] = 0,
    ):
        digits = load_digits()
        images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
        labels = torch.tensor(digits.target)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(split_seed))
        held = round(0.15 * len(labels))
        train, valid, test = torch.split(order, [len(labels) - 2 * held, held, held])
        self.train = images[train], mislabelled(labels[train], wrong, seed)
        self.valid = images[valid], labels[valid]
        self.test = images[test], labels[test]


def mislabelled(labels: torch.Tensor, share: float, seed: int) -> torch.Tensor:
    """Return labels (N,) from 0 to 9 of which a share, rounded to whole samples, is another than it was."""
    draw = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(labels), generator=draw)[: round(share * len(labels))]
    found = labels.clone()
    found[chosen] = (labels[chosen] + torch.randint(1, 10, (len(chosen),), generator=draw)) % 10
    return found
