"""The loss, against the two sums of the paper."""

import pytest
import torch
from torch.nn import functional

from weft_example.symmetric import SymmetricCrossEntropy


@pytest.mark.parametrize(("alpha", "beta", "floor"), [(0.1, 1.0, 4.0), (6.0, 0.1, 4.0), (1.0, 2.0, 0.5)])
def test_it_is_the_sum_of_both_cross_entropies(alpha: float, beta: float, floor: float) -> None:
    torch.manual_seed(0)
    outputs, targets = torch.randn(12, 5, dtype=torch.float64), torch.randint(5, (12,))
    answered, labels = outputs.softmax(1), functional.one_hot(targets, 5).double()
    cross = -(labels * answered.log()).sum(1)
    reverse = -(answered * labels.log().clamp(min=-floor)).sum(1)
    expected = (alpha * cross + beta * reverse).mean()
    assert SymmetricCrossEntropy(alpha, beta, floor)(outputs, targets).item() == pytest.approx(expected.item(), rel=1e-12)


def test_one_wrong_label_pulls_less_than_in_the_cross_entropy() -> None:
    outputs = torch.tensor([[12.0, 0.0]], requires_grad=True)  # sure of class 0, and the label says 1
    wrong = torch.tensor([1])
    pulls = [
        torch.autograd.grad(loss(outputs, wrong), outputs)[0].norm()
        for loss in (SymmetricCrossEntropy(), functional.cross_entropy)
    ]
    assert pulls[0] < 0.11 * pulls[1]
