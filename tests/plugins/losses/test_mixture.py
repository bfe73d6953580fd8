"""Losses of what has no label."""

from __future__ import annotations

import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from weft_basics.losses.mixture import mixture_nll
from weft_basics.models.gaussians import Gaussians


def test_a_mixture_s_likelihood_is_torch_s() -> None:
    model = Gaussians((3,), 4, task="density", floor=1e-12).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    inputs = torch.randn(20, 3).double()
    each = MultivariateNormal(model.means, model.roots @ model.roots.mT)
    expected = -MixtureSameFamily(Categorical(logits=model.priors), each).log_prob(inputs).mean()
    torch.testing.assert_close(mixture_nll(model(inputs), torch.zeros(20)), expected, rtol=1e-6, atol=1e-6)
