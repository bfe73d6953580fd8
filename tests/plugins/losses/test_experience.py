"""Losses of what was done: by the formula, and in expectation what they are to be the gradient of."""

from __future__ import annotations

import pytest
import torch

from weft_basics.experience import Experience, packed
from weft_basics.losses.action_value import action_value
from weft_basics.losses.policy_gradient import PolicyGradient
from weft_basics.models.actor_critic import Judged


def experience(actions: torch.Tensor, worth: torch.Tensor) -> torch.Tensor:
    return packed(Experience(actions, worth, torch.ones_like(worth), torch.zeros_like(worth)))


@pytest.mark.parametrize("baseline", [None, 3.0])
def test_a_policy_s_gradient_is_that_of_the_expected_return(baseline: float | None) -> None:
    """Of three actions with known returns; a baseline changes the variance and not the mean (Williams 1992)."""
    returns = torch.tensor([1.0, 5.0, 2.0]).double()
    scores = torch.tensor([0.3, -0.2, 0.9]).double().requires_grad_()
    (exact,) = torch.autograd.grad((scores.softmax(0) * returns).sum(), scores)
    actions = torch.multinomial(scores.detach().softmax(0), 400_000, replacement=True)
    outputs: torch.Tensor | Judged = scores.expand(len(actions), 3)
    if baseline is not None:
        outputs = Judged(scores.expand(len(actions), 3), torch.full((len(actions),), baseline).double())
    loss = PolicyGradient(entropy=0.0)(outputs, experience(actions, returns[actions]))
    (found,) = torch.autograd.grad(loss, scores)
    torch.testing.assert_close(-found, exact, atol=0.01, rtol=0)


def test_its_terms_are_the_formula_s() -> None:
    scores, values = torch.randn(7, 3).double(), torch.randn(7).double()
    actions, worth = torch.randint(3, (7,)), torch.randn(7).double()
    policy = torch.distributions.Categorical(logits=scores)
    expected = 0.25 * (worth - values).square() - policy.log_prob(actions) * (worth - values) - 0.3 * policy.entropy()
    found = PolicyGradient(value_weight=0.5, entropy=0.3)(Judged(scores, values), experience(actions, worth))
    torch.testing.assert_close(found, expected.mean())


def test_what_is_learnt_of_a_state_s_worth_is_by_the_error_alone() -> None:
    scores, values = torch.randn(7, 3).double(), torch.randn(7).double().requires_grad_()
    worth = torch.randn(7).double()
    loss = PolicyGradient(value_weight=2.0)(Judged(scores, values), experience(torch.zeros(7).long(), worth))
    (gradient,) = torch.autograd.grad(loss, values)
    torch.testing.assert_close(gradient, 2 * (values.detach() - worth) / 7)


def test_the_worth_of_the_action_taken_is_what_is_learnt() -> None:
    scores = torch.tensor([[1.0, 9.0], [4.0, 2.0]], requires_grad=True)
    loss = action_value(scores, experience(torch.tensor([0, 1]), torch.tensor([1.5, 7.0])), delta=1.0)
    assert loss.item() == pytest.approx((0.5 * 0.5**2 + (5 - 0.5)) / 2)
    (gradient,) = torch.autograd.grad(loss, scores)
    assert gradient.tolist() == [[-0.25, 0.0], [0.0, -0.5]]
