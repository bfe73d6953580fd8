"""What an agent comes to: the mean of whole episodes, however they are cut into batches."""

from __future__ import annotations

import pytest
import torch

from weft_basics.experience import Experience, packed
from weft_basics.metrics.control import Return


@pytest.mark.parametrize("size", [1, 4, 9])
def test_a_return_is_the_mean_sum_of_rewards(size: int) -> None:
    rewards = torch.tensor([1, 2, 3, -1, 5, 1, 1, 1, 0.5])
    ends = torch.tensor([0, 0, 1, 1, 0, 0, 0, 0, 1.0])
    targets = packed(Experience(torch.zeros(9).long(), torch.randn(9), rewards, ends))
    metric = Return()
    for piece in targets.split(size):
        metric.update(None, piece)
    assert metric.compute() == pytest.approx((6 - 1 + 8.5) / 3)
    metric.reset()
    metric.update(None, targets[:2])
    assert metric.compute() == 3
