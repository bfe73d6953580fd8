"""Expectation-maximization: it goes to the maximum by what a loss's gradient says of outputs, or says what it isn't for."""

from __future__ import annotations

import pytest
import torch

import weft
from weft.catalog import catalog
from weft.compose import configured
from weft.errors import ConfigError
from weft.experiment import prepare
from weft_basics.models.gaussians import Gaussians
from weft_basics.optimizers.em import EM

COMMON = (
    "dataset=iris",
    "model=gaussians",
    "loss=joint_nll",
    "optimizer=em",
    "precision=fp64",
    "observe.gradients=false",
    "batch_size=1000",
)


def prepared(*overrides: str) -> weft.Run:
    wanted, _ = configured([*COMMON, *overrides])
    return prepare(wanted, catalog())


def test_labels_lead_to_each_class_s_own_mean_in_one_step_from_anywhere() -> None:
    run = prepared()
    inputs, labels = run.data.splits["train"]

    def closure() -> torch.Tensor:
        run.optimizer.zero_grad()
        loss = run.loss(run.model(inputs), labels)
        loss.backward()
        return loss

    run.optimizer.step(closure)
    means = torch.stack([inputs[labels == label].mean(0) for label in range(3)])
    torch.testing.assert_close(run.model.means.detach(), means.double())
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.optimizer.step(closure)
    torch.testing.assert_close(dict(run.model.state_dict()), before)


@pytest.mark.parametrize("pieces", ["accumulate=1", "accumulate=4"])
def test_pieces_of_a_batch_are_one_batch(pieces: str) -> None:
    run = weft.run(*COMMON, "batch_size=1000", "epochs=1", pieces)
    whole = weft.run(*COMMON, "batch_size=1000", "epochs=1")
    assert run.scores == pytest.approx(whole.scores)


def test_class_weights_count_for_its_priors() -> None:
    run = weft.run(*COMMON, "batch_size=1000", "epochs=1", "class_weights=[2,1,1]")
    assert run.model.priors.softmax(0).tolist() == pytest.approx([0.5, 0.25, 0.25], abs=0.02)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=mlp",), "em is for models with a maximum in closed form, such as gaussians or kmeans, and MLP has none"),
        (
            ("loss=cross_entropy",),
            "optimizer=em: loss=cross_entropy isn.t one whose gradient is a sample.s share in each output: take joint_nll",
        ),
        (("regularizer=l2",), "optimizer=em: .* would pass over regularizer=l2; leave it out"),
        (("optimizer.lr=2",), "lr"),
        (("batch_size=64",), "batch_size=64 is a part of the 102 samples, .* take batch_size=102, or a lower optimizer.lr"),
    ],
)
def test_what_it_is_not_for_is_said_before_anything_is_written(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prepared(*overrides)


def test_a_loss_that_asks_for_less_of_an_output_later_on_is_refused_then() -> None:
    """The perceptron's has no gradient to begin with, where it makes no mistake."""
    model = Gaussians((2,), 2)
    optimizer = EM(model.parameters(), model)

    def closure() -> torch.Tensor:
        loss = model(torch.randn(10, 2))[:, 0].mean()
        loss.backward()
        return loss

    with pytest.raises(ConfigError, match="optimizer=em: the loss isn.t one .*: take joint_nll"):
        optimizer.step(closure)


@pytest.mark.parametrize("more", [("optimizer.lr=0.1",), ("scheduler=cosine",), ("batch_size=102",)])
def test_batches_that_do_not_count_for_all_are_a_part_of_the_samples(more: tuple[str, ...]) -> None:
    prepared("batch_size=64", *more)


def test_a_weight_that_is_not_trained_stays() -> None:
    model = Gaussians((2,), 2)
    optimizer = EM([model.means], model)
    inputs, labels = torch.randn(10, 2), torch.arange(10) % 2

    def closure() -> torch.Tensor:
        loss = -model(inputs)[torch.arange(10), labels].mean()
        loss.backward()
        return loss

    before = model.roots.detach().clone()
    optimizer.step(closure)
    assert torch.equal(model.roots, before)
    torch.testing.assert_close(model.means[0], inputs[labels == 0].mean(0))
