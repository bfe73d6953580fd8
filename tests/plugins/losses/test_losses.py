"""Losses against torch's own, by hand, and by finite differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn import functional

from tests.plugins.box import make, names
from weft_basics.losses.cross_entropy import CrossEntropy
from weft_basics.losses.hinge import Hinge, SquaredHinge
from weft_basics.losses.regression import huber, mae, mse, smooth_l1

Loss = Callable[[Tensor, Tensor], Tensor]

CLASSIFICATION: dict[str, Loss] = {
    "cross_entropy": CrossEntropy(4),
    "smoothed": CrossEntropy(4, label_smoothing=0.1),
    "weighted": CrossEntropy(4, torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)),
    "hinge": Hinge(),
    "hinge_weighted": Hinge(torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64), margin=0.5),
    "squared_hinge": SquaredHinge(),
}
REGRESSION: dict[str, Loss] = {"mse": mse, "mae": mae, "huber": huber, "smooth_l1": smooth_l1}


def scores() -> tuple[Tensor, Tensor]:
    return torch.randn(9, 4, dtype=torch.float64, requires_grad=True), torch.randint(4, (9,))


def numbers() -> tuple[Tensor, Tensor]:
    return torch.randn(9, 2, dtype=torch.float64, requires_grad=True) * 3, torch.randn(9, 2, dtype=torch.float64)


@pytest.mark.parametrize("loss", CLASSIFICATION.values(), ids=CLASSIFICATION)
def test_gradients_of_classification(loss: Loss) -> None:
    outputs, targets = scores()
    assert torch.autograd.gradcheck(lambda outputs: loss(outputs, targets), outputs)


@pytest.mark.parametrize("loss", REGRESSION.values(), ids=REGRESSION)
def test_gradients_of_regression(loss: Loss) -> None:
    outputs, targets = numbers()
    assert torch.autograd.gradcheck(lambda outputs: loss(outputs, targets), outputs)


def test_mse_and_mae_by_hand() -> None:
    outputs, targets = torch.tensor([[1.0], [4.0]]), torch.tensor([[3.0], [1.0]])
    assert float(mse(outputs, targets)) == pytest.approx((4 + 9) / 2)
    assert float(mae(outputs, targets)) == pytest.approx((2 + 3) / 2)


@pytest.mark.parametrize("delta", [0.3, 1.0, 2.5])
def test_huber_is_a_square_then_a_line(delta: float) -> None:
    errors = torch.tensor([[0.2], [-0.9], [3.0], [-5.0]])
    sizes = errors.abs().flatten().tolist()
    pieces = [size**2 / 2 if size <= delta else delta * (size - delta / 2) for size in sizes]
    assert float(huber(errors, torch.zeros(4, 1), delta)) == pytest.approx(sum(pieces) / 4)
    assert float(smooth_l1(errors, torch.zeros(4, 1), delta)) == pytest.approx(sum(pieces) / 4 / delta)


@pytest.mark.parametrize("loss", REGRESSION.values(), ids=REGRESSION)
def test_regression_does_not_broadcast(loss: Loss) -> None:
    with pytest.raises(ValueError, match=r"outputs of shape \[5, 1\] .* targets of shape \[5\]"):
        loss(torch.zeros(5, 1), torch.zeros(5))


def test_cross_entropy_by_hand() -> None:
    outputs, targets = scores()
    expected = -torch.stack([outputs[i].softmax(0)[t].log() for i, t in enumerate(targets)]).mean()
    torch.testing.assert_close(CrossEntropy(4)(outputs, targets), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)])
def test_cross_entropy_is_torch_s(smoothing: float, weights: Tensor | None) -> None:
    outputs, targets = scores()
    expected = nn.CrossEntropyLoss(weights, label_smoothing=smoothing)(outputs, targets)
    torch.testing.assert_close(CrossEntropy(4, weights, smoothing)(outputs, targets), expected)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64, torch.bfloat16])
def test_cross_entropy_takes_probabilities_of_another_precision(precision: torch.dtype) -> None:
    outputs = torch.randn(9, 4, dtype=precision)
    probabilities = torch.randn(9, 4).softmax(1)
    expected = -(probabilities.double() * outputs.double().log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(CrossEntropy(4)(outputs, probabilities).double(), expected, rtol=1e-5, atol=1e-5)


def test_cross_entropy_refuses_probabilities_with_class_weights() -> None:
    with pytest.raises(ValueError, match="takes labels, not probabilities"):
        CrossEntropy(2, torch.ones(2))(torch.zeros(3, 2), torch.full((3, 2), 0.5))


@pytest.mark.parametrize("margin", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)])
@pytest.mark.parametrize(("factory", "power"), [(Hinge, 1), (SquaredHinge, 2)])
def test_hinge_is_torch_s_multi_margin(factory: type, power: int, weights: Tensor | None, margin: float) -> None:
    outputs, targets = scores()
    expected = functional.multi_margin_loss(outputs, targets, power, margin, weights)
    torch.testing.assert_close(factory(weights, margin)(outputs, targets), expected)


def test_hinge_is_zero_when_the_right_score_wins_by_the_margin() -> None:
    outputs = torch.tensor([[3.0, 1.9, 0.0]])
    assert float(Hinge()(outputs, torch.tensor([0]))) == 0
    assert float(Hinge(margin=2.0)(outputs, torch.tensor([0]))) == pytest.approx(0.9 / 3)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("factory", [Hinge, SquaredHinge])
def test_hinge_of_16_bits_is_summed_in_32(factory: type, precision: torch.dtype) -> None:
    outputs, targets = (20 * torch.randn(64, 100)).to(precision), torch.randint(100, (64,))
    found = factory()(outputs, targets)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, factory()(outputs.float(), targets))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", names("loss"))
def test_a_loss_can_be_mapped_over_many_models_at_once(name: str) -> None:
    """What training jobs side by side needs: pure functions, with batching rules for all they do."""
    if name in CLASSIFICATION:
        loss = make("loss", name, outputs=3)
        targets: Tensor = torch.randint(3, (6,))
    else:
        loss, targets = REGRESSION[name], torch.randn(6, 3)
    weights, inputs = torch.randn(5, 4, 3), torch.randn(6, 4)
    mapped = vmap(grad(lambda weight: loss(inputs @ weight, targets)))(weights)
    for weight, gradient in zip(weights, mapped, strict=True):
        torch.testing.assert_close(gradient, grad(lambda w: loss(inputs @ w, targets))(weight))


def test_class_weights_are_no_part_of_the_state() -> None:
    assert CrossEntropy(2, torch.ones(2)).state_dict() == {}
    assert Hinge(torch.ones(2)).state_dict() == {}
