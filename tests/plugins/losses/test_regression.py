"""Losses of numbers against torch's and scikit-learn's, and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import mean_pinball_loss, mean_poisson_deviance
from torch import nn

from tests.plugins.losses.cases import OF_NUMBERS, loss, numbers
from weft_basics.losses.poisson import PoissonNLL
from weft_basics.losses.regression import gaussian_nll, huber, log_cosh, mae, mse, quantile, smooth_l1


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


def test_log_cosh_by_hand_and_its_gradient_is_tanh() -> None:
    outputs, targets = numbers()
    errors = (outputs - targets).flatten().tolist()
    found = log_cosh(outputs.requires_grad_(), targets)
    assert float(found.detach()) == pytest.approx(sum(math.log(math.cosh(error)) for error in errors) / len(errors))
    (gradient,) = torch.autograd.grad(found, outputs)
    assert gradient.flatten().tolist() == pytest.approx([math.tanh(error) / len(errors) for error in errors])


def test_log_cosh_of_large_errors_is_their_size() -> None:
    found = log_cosh(torch.tensor([[1e5], [-1e5]]), torch.zeros(2, 1))
    assert float(found) == pytest.approx(1e5 - math.log(2))


@pytest.mark.parametrize("share", [0.001, 0.25, 0.5, 0.9])
def test_quantile_is_scikit_learn_s_pinball(share: float) -> None:
    outputs, targets = numbers()
    expected = mean_pinball_loss(targets.numpy(), outputs.numpy(), alpha=share)
    assert float(quantile(outputs, targets, share)) == pytest.approx(expected)


def test_the_minimum_of_quantile_is_the_quantile() -> None:
    targets = torch.randn(1001, 1, dtype=torch.float64)
    tried = torch.linspace(-3, 3, 601, dtype=torch.float64)
    losses = torch.stack([quantile(number.expand(1001, 1), targets, 0.8) for number in tried])
    assert float(tried[losses.argmin()]) == pytest.approx(float(targets.quantile(0.8)), abs=0.02)


@pytest.mark.parametrize("noise", [0.1, 1.0, 30.0])
def test_a_gaussian_s_likelihood_is_torch_s_density(noise: float) -> None:
    outputs, targets = numbers()
    expected = -torch.distributions.Normal(outputs, noise).log_prob(targets).mean()
    torch.testing.assert_close(gaussian_nll(outputs, targets, noise), expected)


def test_poisson_is_torch_s_and_half_scikit_learn_s_deviance() -> None:
    outputs, targets = numbers()
    found = PoissonNLL()(outputs, targets)
    torch.testing.assert_close(found, nn.PoissonNLLLoss()(outputs, targets))
    best = (targets - torch.xlogy(targets, targets)).mean()
    deviance = mean_poisson_deviance(targets.flatten().numpy(), outputs.exp().flatten().numpy())
    assert 2 * float(found - best) == pytest.approx(deviance)


def test_poisson_refuses_targets_below_zero() -> None:
    with pytest.raises(ValueError, match=r"counts.*a target is -0\.5.*standardize"):
        PoissonNLL().check(torch.tensor([[1.0], [-0.5]]))
    PoissonNLL().check(torch.tensor([[1.0], [0.0]]))


def test_poisson_is_never_a_number_that_a_target_below_zero_made() -> None:
    subject = PoissonNLL()
    assert float(subject(torch.zeros(2, 1), torch.tensor([[1.0], [0.0]]))) == 1
    assert subject(torch.zeros(2, 1), torch.tensor([[1.0], [-0.5]])).isnan()


@pytest.mark.parametrize("case", OF_NUMBERS)
def test_regression_does_not_broadcast(case: str) -> None:
    with pytest.raises(ValueError, match=r"outputs of shape \[5, 1\] .* targets of shape \[5\]"):
        loss(case)(torch.zeros(5, 1), torch.zeros(5))
