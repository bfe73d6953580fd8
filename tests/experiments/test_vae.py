"""A variational autoencoder: its bounds, its divergence, and two estimates of one gradient."""

from __future__ import annotations

import math
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
from weft_basics.callbacks import evidence_bounds
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


DRAWS = 400_000


def drawn() -> tuple[VAE, Tensor, Tensor, Tensor]:
    """Return a model that is trained, what it answers of one sample that it encodes many times, the codes, and the sample."""
    model = VAE((6,), 6, latent=2, width=8, activation=torch.nn.Tanh).double().train()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    sample = torch.randn(1, 6).double()
    codes: list[Tensor] = []
    with model.decoder.register_forward_pre_hook(lambda decoder, arguments: codes.append(arguments[0])):
        answers = model(sample.expand(DRAWS, 6))
    return model, answers, codes[0], sample


def test_codes_are_drawn_from_the_gaussian_that_is_answered() -> None:
    _, answers, codes, _ = drawn()
    means, deviations = answers.means[0], answers.log_deviations[0].exp()
    assert ((codes.mean(0) - means).abs() < 5 * deviations / DRAWS**0.5).all()
    assert ((codes.std(0) - deviations).abs() < 5 * deviations / (2 * DRAWS) ** 0.5).all()
    assert torch.equal(answers.means, means.expand(DRAWS, 2))


def test_the_gradient_through_draws_is_that_of_their_probability() -> None:
    """What the model's own step gives for d/dq E[f(z)], and E[f(z) · d/dq log q(z)] (Williams 1992) of other draws: the same,
    within five standard errors, and neither is next to nothing beside these."""
    model, answers, _, sample = drawn()
    loss = ReconstructionNLL(1.0)
    through = torch.autograd.grad(loss.of_each(answers.reconstructions, sample).sum(), (answers.means, answers.log_deviations))
    means, log_deviations = answers.means[0].detach(), answers.log_deviations[0].detach()
    noise = torch.randn(DRAWS, 2).double()
    with torch.no_grad():
        values = loss.of_each(model.decoder(means + log_deviations.exp() * noise), sample)[:, None]
    scored = (values - values.mean()) * noise / log_deviations.exp(), (values - values.mean()) * (noise.square() - 1)
    for one, other in zip(through, scored, strict=True):
        error = ((one.var(0) + other.var(0)) / DRAWS).sqrt()
        assert ((one.mean(0) - other.mean(0)).abs() < 5 * error).all()
        assert (one.mean(0).abs().max() > 20 * error).any()


def test_a_plain_autoencoder_is_any_model_with_as_many_outputs() -> None:
    run = fit("vae", "model=mlp", "regularizer=none", "callback=none", "epochs=2")
    assert run.scores["valid/loss"] < 100


def test_draws_a_few_at_a_time_have_the_bounds_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_bounds, "_AT_ONCE", 3 * 270 * 64)
    logged = Logged()
    run = fit("vae", "epochs=1", "callback.evidence_bounds.draws=7", watching=(logged,))
    (found,) = logged.epochs
    inputs, targets = run.data.splits["valid"]
    generator = torch.Generator().manual_seed(0)
    noise = torch.cat([torch.randn((draws, len(inputs), 8), generator=generator) for draws in (3, 3, 1)])
    with torch.no_grad():
        means, log_deviations = run.model.encode(inputs)
        code, prior = Normal(means, log_deviations.exp()), Normal(0, 1)
        codes = means + log_deviations.exp() * noise
        weights = (prior.log_prob(codes) - code.log_prob(codes)).sum(-1) - run.loss.of_each(run.model.decoder(codes), targets)
    assert found["valid/evidence_bound"] == pytest.approx(float(weights.mean()), rel=1e-4)
    assert found["valid/importance_weighted_bound"] == pytest.approx(
        float((weights.double().logsumexp(0) - math.log(7)).mean()), rel=1e-4
    )


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
