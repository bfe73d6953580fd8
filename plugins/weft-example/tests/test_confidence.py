"""The penalty at its two ends, and between."""

import math

import pytest
import torch
from torch import nn

from weft_example.confidence import ConfidencePenalty

MODEL = nn.Identity()


def test_it_is_least_where_all_classes_are_as_probable_and_nothing_where_one_is_sure() -> None:
    part = ConfidencePenalty(weight=0.5)
    assert part.penalty(MODEL, torch.zeros(3, 4)).item() == pytest.approx(-0.5 * math.log(4))
    assert part.penalty(MODEL, 1000 * torch.eye(4)).item() == 0


def test_it_is_the_mean_entropy() -> None:
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]], dtype=torch.float64)
    entropies = torch.distributions.Categorical(probabilities).entropy()
    found = ConfidencePenalty(weight=2.0).penalty(MODEL, probabilities.log() + 3)
    assert found.item() == pytest.approx(-2 * entropies.mean().item())
