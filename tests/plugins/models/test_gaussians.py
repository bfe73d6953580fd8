"""Gaussians: densities are torch's, and the maximum of their likelihood is none of a little beside it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.nn.functional import one_hot

from weft_basics.datasets.digits import digits
from weft_basics.models import by_parts
from weft_basics.models.gaussians import Gaussians

COVARIANCES = ("full", "tied", "diagonal", "spherical")
CLASSES, NUMBERS = 3, 4


def gaussians(covariance: Any, **options: Any) -> Gaussians:
    """Return a model in float64 with weights of no particular values."""
    model = Gaussians((NUMBERS,), CLASSES, covariance=covariance, **options).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def samples(count: int = 60) -> tuple[Tensor, Tensor]:
    """Return samples (N, NUMBERS), and how much of each is each class's, (N, CLASSES)."""
    spread = torch.randn(NUMBERS, NUMBERS, dtype=torch.float64)
    shares = torch.rand(count, CLASSES, dtype=torch.float64).softmax(1)
    return torch.randn(count, NUMBERS, dtype=torch.float64) @ spread + 2, shares


def likelihood(model: Gaussians, inputs: Tensor, shares: Tensor) -> float:
    """Return the expected log-likelihood, which a maximum is of."""
    with torch.no_grad():
        return float((shares * model(inputs)).sum())


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_it_is_the_log_density_of_each_gaussian_and_its_prior(covariance: str) -> None:
    model = gaussians(covariance, shrinkage=0.2, floor=0.01)
    inputs, _ = samples()
    roots = model.roots if model.roots.ndim == 3 else torch.diag_embed(model.roots.expand(-1, NUMBERS))
    own = (roots @ roots.mT).expand(CLASSES, -1, -1)
    each = MultivariateNormal(model.means, 0.8 * own + 0.21 * torch.eye(NUMBERS, dtype=torch.float64))
    expected = each.log_prob(inputs.unsqueeze(1)) + model.priors.log_softmax(0)
    torch.testing.assert_close(model(inputs), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_nothing_near_a_maximum_is_higher(covariance: str) -> None:
    model = gaussians(covariance, floor=1e-12)
    inputs, shares = samples()
    model.load_state_dict(model.maximized(inputs, shares, 1.0))
    highest = likelihood(model, inputs, shares)
    for name, parameter in model.named_parameters():
        for _ in range(20):
            with torch.no_grad():
                before = parameter.clone()
                parameter.add_(1e-3 * torch.randn_like(parameter))
            assert likelihood(model, inputs, shares) < highest, name
            with torch.no_grad():
                parameter.copy_(before)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_samples_in_two_parts_come_to_what_they_come_to_together(covariance: str) -> None:
    """A rate is the share of what is new: a third of the samples at first, then the other two thirds with a rate of 2/3."""
    model = gaussians(covariance)
    inputs, shares = samples(60)
    together = model.maximized(inputs, shares, 1.0)
    model.load_state_dict(model.maximized(inputs[:20], shares[:20], 1.0))
    apart = model.maximized(inputs[20:], shares[20:], 2 / 3)
    for name in ("means", "roots"):
        torch.testing.assert_close(apart[name], together[name], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(apart["priors"].softmax(0), together["priors"].softmax(0))


@pytest.mark.parametrize("covariance", ["full", "diagonal", "spherical"])
def test_a_class_without_a_sample_stays_where_it_is(covariance: str) -> None:
    model = gaussians(covariance)
    inputs, shares = samples()
    shares[:, 1] = 0
    found = model.maximized(inputs, shares, 1.0)
    assert torch.equal(found["means"][1], model.means[1])
    own, kept = (roots @ roots.mT if roots.ndim == 3 else roots.square() for roots in (model.roots, found["roots"]))
    torch.testing.assert_close(kept[1], own[1])
    assert found["priors"].softmax(0)[1] < 1e-300
    model.load_state_dict(found)
    assert model(inputs).isfinite().all()


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_that_vary_in_nothing_leave_a_covariance(covariance: Any, dtype: torch.dtype) -> None:
    model = Gaussians((NUMBERS,), CLASSES, covariance=covariance).to(dtype)
    inputs = torch.full((5, NUMBERS), 1000.0, dtype=dtype)
    model.load_state_dict(model.maximized(inputs, torch.ones(5, CLASSES, dtype=dtype), 1.0))
    assert model(inputs).isfinite().all()
    model(inputs).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())  # type: ignore[union-attr]


def test_two_samples_leave_a_covariance() -> None:
    """Of rank one, in 32 bits: of pairs of digits MKL finds NaN for some."""
    inputs = digits(0).train[0].flatten(1)
    for pair in torch.randint(len(inputs), (300, 2)):
        model = Gaussians((64,), 1)
        model.load_state_dict(model.maximized(inputs[pair], torch.ones(2, 1), 1.0))
        assert model(inputs[:5]).isfinite().all()


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_numbers_of_very_different_sizes_are_as_exact(covariance: Any) -> None:
    """A column of wine is in thousands, another one in tenths: in 32 bits the densities are those in 64."""
    from sklearn.datasets import load_wine

    table, labels = load_wine(return_X_y=True)
    found = []
    for dtype in (torch.float32, torch.float64):
        model = Gaussians((13,), 3, covariance=covariance).to(dtype)
        inputs, shares = torch.tensor(table).to(dtype), one_hot(torch.tensor(labels)).to(dtype)
        model.load_state_dict(model.maximized(inputs, shares, 1.0))
        found.append(model(inputs).softmax(1).double())
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=2e-3)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_in_parts_it_is_the_same(covariance: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs, gradients and the maximum, where all samples at once would take too much memory."""
    inputs, shares = samples()
    found = []
    for at_once in (by_parts._AT_ONCE, 7 * CLASSES * NUMBERS):
        monkeypatch.setattr(by_parts, "_AT_ONCE", at_once)
        torch.manual_seed(0)
        model = gaussians(covariance)
        outputs = model(inputs)
        gradients = torch.autograd.grad((outputs * shares).sum(), [*model.parameters()])
        with torch.no_grad():
            again = model(inputs)
        found.append([outputs, again, *gradients, *model.maximized(inputs, shares, 0.7).values()])
    assert len(by_parts.parts(inputs, CLASSES * NUMBERS)) == 9
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="gaussians takes numbers, and this dataset's samples are tokens"):
        Gaussians((5,), 2, vocabulary=9)
