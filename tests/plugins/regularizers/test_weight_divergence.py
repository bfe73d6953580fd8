"""What it costs to believe something of weights: torch's own divergence, in nats for each sample."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, kl_divergence

from weft_basics.models.bayesian_linear import BayesianLinear
from weft_basics.regularizers.weight_divergence import WeightDivergence


def believing(covariance: Any, prior: float) -> BayesianLinear:
    """Return a model whose belief is of no particular kind."""
    model = BayesianLinear((4,), 2, covariance=covariance, prior=prior).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("prior", [0.5, 3.0])
def test_it_is_torch_s_divergence_for_each_sample(covariance: str, prior: float) -> None:
    model = believing(covariance, prior)
    beforehand = MultivariateNormal(torch.zeros(5).double(), prior**2 * torch.eye(5).double())
    afterwards = MultivariateNormal(model.means, model.covariances())
    expected = kl_divergence(afterwards, beforehand).sum() / 40 * 0.5
    found = WeightDivergence(model, samples=40, task="classification", weight=0.5).penalty(model, torch.zeros(1))
    torch.testing.assert_close(found, expected)


def test_layers_within_a_model_are_added_up() -> None:
    parts = believing("full", 1.0), believing("diagonal", 1.0)
    whole = nn.Sequential(*parts)
    found = WeightDivergence(whole, samples=1, task="classification").penalty(whole, torch.zeros(1))
    torch.testing.assert_close(found, sum(part.divergence() for part in parts))


def test_of_a_regression_it_is_for_each_number_as_the_loss_is() -> None:
    """The sum is minus the evidence lower bound by what the loss is a mean over: its minimum is where the bound's is."""
    model = believing("full", 1.0)
    one, several = (WeightDivergence(model, 40, "regression").penalty(model, torch.zeros(9, size)) for size in (1, 4))
    torch.testing.assert_close(several, one / 4)
    torch.testing.assert_close(one, model.divergence() / 40)


def test_a_model_of_plain_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="such as bayesian_linear, and Linear's are not"):
        WeightDivergence(nn.Linear(3, 2), samples=10, task="regression")


def test_outputs_are_drawn_as_weights_would_have_them() -> None:
    model = believing("full", 1.0)
    inputs = torch.randn(1, 4).double()
    with torch.no_grad():
        drawn = model.train()(inputs.expand(200_000, -1))
        samples = torch.cat([inputs, torch.ones(1, 1).double()], 1)
        variances = torch.stack([(samples @ covariance @ samples.T).squeeze() for covariance in model.covariances()])
        torch.testing.assert_close(drawn.mean(0), model.eval()(inputs)[0], atol=0.02, rtol=0)
        torch.testing.assert_close(drawn.var(0), variances, rtol=0.02, atol=0)
