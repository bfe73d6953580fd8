"""A variational autoencoder: its bounds, its divergence, and two estimates of one gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
import yaml
from sklearn.decomposition import PCA
from torch import Tensor
from torch.distributions import Normal

from tests.experiments.fitting import fit
from tests.experiments.test_primer import CONF
from weft import Callback
from weft_basics.losses.reconstruction import ReconstructionNLL
from weft_basics.models.vae import VAE
from weft_basics.regularizers.latent_divergence import divergence


class Logged(Callback):
    """Keeps what is logged at the end of epochs."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_fit_start(self, run: Any) -> None:
        def log(values: Mapping[str, float | Tensor]) -> None:
            self.epochs.append({name: float(value) for name, value in values.items()})

        run.log = log


def test_the_evidence_bound_is_below_the_importance_weighted_one_and_both_rise() -> None:
    logged = Logged()
    fit("vae", watching=(logged,))
    bounds = [(epoch["valid/evidence_bound"], epoch["valid/importance_weighted_bound"]) for epoch in logged.epochs]
    assert len(bounds) == 60
    assert all(evidence <= weighted for evidence, weighted in bounds)
    for which in (0, 1):
        early, late = bounds[5][which], bounds[-1][which]
        assert bounds[0][which] < early < late


def test_the_divergence_is_what_draws_of_the_code_come_to() -> None:
    means, log_deviations = torch.randn(5, 3).double(), 0.3 * torch.randn(5, 3).double()
    code = Normal(means, log_deviations.exp())
    draws = code.sample((200_000,))
    estimates = (code.log_prob(draws) - Normal(0, 1).log_prob(draws)).sum(-1)
    errors = estimates.std(0) / len(estimates) ** 0.5
    assert ((divergence(means, log_deviations) - estimates.mean(0)).abs() < 5 * errors).all()


def test_the_gradient_through_draws_is_that_of_their_probability() -> None:
    """d/dq E[f(z)] by z = mean + deviation · noise, and as E[f(z) · d/dq log q(z)] (Williams 1992): the same in expectation."""
    torch.manual_seed(0)
    model, loss = VAE((6,), 6, latent=2, width=8, activation=torch.nn.Tanh).double(), ReconstructionNLL(1.0)
    inputs = torch.randn(1, 6).double()
    means, log_deviations = (part.detach().requires_grad_() for part in model.encode(inputs))
    draws = 200_000
    noise = torch.randn(draws, 1, 2).double()

    through = loss.of_each(model.decoder(means + log_deviations.exp() * noise), inputs)
    first = torch.autograd.grad(through.mean(), (means, log_deviations))

    codes = (means + log_deviations.exp() * noise).detach()
    values = loss.of_each(model.decoder(codes), inputs).detach()
    baseline = values.mean()
    likelihoods = Normal(means, log_deviations.exp()).log_prob(codes).sum(-1)
    second = torch.autograd.grad(((values - baseline) * likelihoods).mean(), (means, log_deviations))
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0.1, atol=0.05)


def test_a_plain_autoencoder_is_any_model_with_as_many_outputs() -> None:
    run = fit("vae", "model=mlp", "regularizer=none", "callback=none", "epochs=2")
    assert run.scores["valid/loss"] < 100


@pytest.mark.parametrize("draws", [1, 7])
def test_one_draw_has_one_bound(draws: int) -> None:
    logged = Logged()
    fit("vae", "epochs=1", f"callback.evidence_bounds.draws={draws}", watching=(logged,))
    (epoch,) = logged.epochs
    same = epoch["valid/evidence_bound"] == pytest.approx(epoch["valid/importance_weighted_bound"])
    assert same == (draws == 1)


def test_its_reference_is_what_as_many_principal_components_have() -> None:
    run = fit("vae", "epochs=1")
    (_, trained), (_, tested) = run.data.splits["train"], run.data.splits["test"]
    components = PCA(8).fit(trained.numpy())
    rebuilt = torch.from_numpy(components.inverse_transform(components.transform(tested.numpy())))
    expected = ReconstructionNLL(0.2)(rebuilt, tested).item()
    assert yaml.safe_load((CONF / "vae.yaml").read_text())["reference"]["at_most"] == pytest.approx(expected, abs=0.1)
