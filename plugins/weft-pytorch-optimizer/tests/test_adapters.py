"""What this package adds to some of the library's optimizers."""

from __future__ import annotations

import re
from typing import Any

import pytest
import pytorch_optimizer
import torch
from torch import nn
from training import Mixed, Training, optimizer

from weft.errors import ConfigError, UserError
from weft_pytorch_optimizer.names import DRAWING, OPTIMIZERS

SHARPNESS = [name for name, path in OPTIMIZERS.items() if ".sharpness:" in path]
AVERAGED = [name for name, path in OPTIMIZERS.items() if ".averaged:" in path]
MATRICES = ["adago", "adamuon", "normuon", "spectralsphere"]
BY_LOSS = [name for name, path in OPTIMIZERS.items() if ".by_loss:" in path]
CLOSED = [*SHARPNESS, *AVERAGED, *BY_LOSS]
WHOLE = slice(0, 48)


@pytest.mark.parametrize("name", ["lookahead", "orthograd", "magma", "schedulefreewrapper", *SHARPNESS])
@pytest.mark.parametrize("base", ["sgd", "muon", "lion"])
def test_any_optimizer_can_be_wrapped(name: str, base: str) -> None:
    training = Training(name, base={"name": base, "lr": 0.02 if base != "lion" else 0.001})
    before = training.loss()
    training.train(60)
    assert training.loss() < before


def test_a_wrapped_optimizer_has_the_rate_that_it_was_given_and_obeys_a_scheduler() -> None:
    training = Training("lookahead", base={"name": "sgd", "lr": 0.25})
    assert [group["lr"] for group in training.optimizer.param_groups] == [0.25]
    training.optimizer.param_groups[0]["lr"] = 0.0
    before = [weight.clone() for weight in training.model.parameters()]
    training.train(1)
    assert all(map(torch.equal, before, training.model.parameters()))


def test_lookahead_draws_its_weights_back_every_k_steps() -> None:
    fast, slow = Training("sgd", lr=0.1), Training("lookahead", base={"name": "sgd", "lr": 0.1}, k=3, alpha=0.25)
    first = [weight.detach().clone() for weight in fast.model.parameters()]
    for training in (fast, slow):
        training.train(3)
    for start, there, found in zip(first, fast.model.parameters(), slow.model.parameters(), strict=True):
        torch.testing.assert_close(found.detach(), start + 0.25 * (there.detach() - start))


@pytest.mark.parametrize("name", SHARPNESS)
def test_sharpness_calls_the_closure_twice_and_returns_what_it_returned_first(name: str) -> None:
    training = Training(name)
    gradients = training.closure(WHOLE)
    losses: list[torch.Tensor] = []

    def closure() -> torch.Tensor:
        losses.append(gradients())
        return losses[-1]

    assert training.optimizer.step(closure) == losses[0]
    assert len(losses) == 2
    assert losses[1] > losses[0]  # uphill


def test_sam_is_gradient_descent_by_the_gradient_uphill() -> None:
    training = Training("sam", base={"name": "sgd", "lr": 0.5}, rho=0.1)
    other = Training("sgd", lr=0.5)
    other.closure(WHOLE)()
    weights = list(other.model.parameters())
    start = [weight.detach().clone() for weight in weights]
    norm = torch.stack([weight.grad.norm() for weight in weights if weight.grad is not None]).norm()
    with torch.no_grad():
        for weight in weights:
            weight.add_(0.1 * weight.grad / norm)
    other.closure(WHOLE)()
    training.optimizer.step(training.closure(WHOLE))
    for begin, weight, found in zip(start, weights, training.model.parameters(), strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(found.detach(), begin - 0.5 * weight.grad, rtol=1e-4, atol=1e-6)


def test_options_of_the_same_name_in_both_are_refused() -> None:
    with pytest.raises(UserError, match="base: a Adadelta has an option rho of its own; take another one"):
        Training("sam", base="adadelta")


@pytest.mark.parametrize("name", AVERAGED)
def test_between_steps_the_model_has_the_average(name: str) -> None:
    training = Training(name)
    training.train(20)
    averaged = [weight.detach().clone() for weight in training.model.parameters()]
    training.optimizer.eval()  # nothing is left to be done
    assert all(map(torch.equal, averaged, training.model.parameters()))
    training.optimizer.train()
    assert not all(map(torch.equal, averaged, training.model.parameters()))


def test_schedule_free_is_the_library_s_with_its_modes_switched() -> None:
    ours = Training("schedulefreesgd", lr=0.5)
    theirs = Training("schedulefreesgd", lr=0.5)
    theirs.optimizer = pytorch_optimizer.ScheduleFreeSGD(theirs.model.parameters(), lr=0.5)
    ours.train(30)
    theirs.train(30)
    theirs.optimizer.eval()
    for found, expected in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", CLOSED)
def test_what_needs_a_closure_says_so_in_its_signature(name: str) -> None:
    with pytest.raises(TypeError, match="closure"):
        Training(name).optimizer.step()


@pytest.mark.parametrize("name", BY_LOSS)
def test_what_goes_by_the_loss_goes_elsewhere_with_another_loss_of_the_same_gradients(name: str) -> None:
    found = []
    for factor in (1.0, 5.0):
        training = Training(name)
        for step in range(12):
            gradients = training.closure(WHOLE)
            training.optimizer.step(lambda gradients=gradients, by=factor**step: by * gradients())
        found.append([weight.detach().clone() for weight in training.model.parameters()])
    assert not all(map(torch.equal, *found))


@pytest.mark.parametrize("name", MATRICES)
def test_embeddings_biases_and_normalisations_are_adamw_s(name: str) -> None:
    model = Mixed()
    made = optimizer(name, model, lr=0.125, adamw_lr=0.25)
    rates = {id(weight): group["lr"] for group in made.param_groups for weight in group["params"]}
    expected = {parameter: 0.25 for parameter, _ in model.named_parameters()}
    expected |= dict.fromkeys(("hidden.weight", "output.weight"), 0.125)
    if name != "spectralsphere":
        expected |= dict.fromkeys(("over_tokens.weight", "over_pixels.weight"), 0.125)
    assert {parameter: rates[id(weight)] for parameter, weight in model.named_parameters()} == expected


@pytest.mark.parametrize("name", MATRICES)
def test_a_model_without_matrices_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="it is for weights with two dimensions, and there are none to train here"):
        optimizer(name, nn.Sequential(nn.Embedding(3, 4), nn.LayerNorm(4)))


@pytest.mark.parametrize("name", MATRICES)
def test_groups_of_weights_keep_their_options(name: str) -> None:
    model = Mixed()
    matrices = [weight for weight in model.parameters() if weight.ndim == 2 and weight.shape[0] != 11]
    others = [weight for weight in model.parameters() if weight.ndim == 1]
    groups = [{"params": [*matrices, *others], "weight_decay": 0.375}]
    made = optimizer(name, model, groups)
    assert [group["weight_decay"] for group in made.param_groups] == [0.375, 0.375]


def test_adam_mini_refuses_groups() -> None:
    model = Mixed()
    with pytest.raises(ConfigError, match="leave parameter_groups out"):
        optimizer("adammini", model, [{"params": [*model.parameters()]}])


@pytest.mark.parametrize("name", ["galore", "fira", "apollo"])
def test_moments_of_a_matrix_are_of_its_rank(name: str) -> None:
    training = Training(name, rank=3)
    training.train(1)
    state = training.optimizer.state
    assert state[training.model.hidden.weight]["exp_avg"].numel() == 3 * 70
    assert state[training.model.over_pixels.weight]["exp_avg"].shape == (4, 1, 3, 3)


@pytest.mark.parametrize("name", sorted(DRAWING))
def test_what_draws_draws_the_same_whatever_the_closure_drew(name: str) -> None:
    options: dict[str, Any] = {"spam": {"density": 0.5}, "scalableshampoo": {"preconditioning_compute_steps": 1}}.get(name, {})
    found = []
    for drawn in (0, 3):
        training = Training(name, **options)
        torch.manual_seed(drawn)
        for _ in range(3):
            gradients = training.closure(WHOLE)

            def closure(gradients: Any = gradients, drawn: int = drawn) -> torch.Tensor:
                torch.rand(drawn)
                return gradients()

            training.optimizer.step(closure)
        found.append([weight.detach().clone() for weight in training.model.parameters()])
    assert all(map(torch.equal, *found))


def test_a_closure_draws_from_the_process_s_generator() -> None:
    training = Training("kron")
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    drawn: list[torch.Tensor] = []

    def closure() -> torch.Tensor:
        drawn.append(torch.rand(1))
        return training.closure(WHOLE)()

    training.optimizer.step(closure)
    training.optimizer.step(closure)
    assert torch.equal(torch.cat(drawn), expected)


def test_a_weight_without_a_gradient_doesn_t_stop_splus() -> None:
    training = Training("splus")
    training.model.embedding.requires_grad_(False)
    before = training.model.embedding.weight.clone()
    training.train(3)
    assert torch.equal(training.model.embedding.weight, before)


def test_kron_without_opt_einsum_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.opt_einsum, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=re.escape("pip install 'weft-pytorch-optimizer[kron]'")):
        Training("kron")


def test_an_unknown_name_is_none() -> None:
    from weft_pytorch_optimizer import optimizers

    with pytest.raises(AttributeError, match=re.escape("has no attribute 'nothing'")):
        optimizers.nothing  # noqa: B018
