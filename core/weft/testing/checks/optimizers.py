"""What is asked of optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from weft.state import Run
from weft.testing.outcome import Cannot, Failure, Skip
from weft.testing.subject import Subject, differing, train, weights


def descends(subject: Subject) -> None:
    """With its defaults it makes the training loss smaller."""
    run = subject.run(batch_size=48)
    inputs, targets = run.data.splits["train"]

    def loss() -> float:
        with torch.no_grad():
            return float(run.loss(run.forward(inputs), targets))

    before = loss()
    train(run, 30)
    if not loss() < before:
        raise Failure(f"the training loss was {before:.6g} before 30 steps on all samples, and is {loss():.6g} after")


def answers(subject: Subject) -> None:
    """step(closure) returns what the closure returned first."""
    run = subject.run()
    inputs, targets = (half[:8] for half in run.data.splits["train"])
    seen: list[Tensor] = []

    def closure() -> Tensor:
        with torch.enable_grad():
            run.optimizer.zero_grad()
            value: Tensor = run.loss(run.forward(inputs), targets)
            value.backward()  # type: ignore[no-untyped-call]
        seen.append(value.detach())
        return value

    answer = run.optimizer.step(closure)
    if not seen:
        raise Failure("step(closure) doesn't call the closure")
    if answer is None or float(torch.as_tensor(answer).detach()) != float(seen[0]):
        raise Failure(f"step(closure) returned {answer}, and the closure {float(seen[0])}")


def zeroes(subject: Subject) -> None:
    """zero_grad() leaves no gradient behind."""
    run = subject.run()
    train(run, 1)
    run.optimizer.zero_grad()
    left = [name for name, one in run.model.named_parameters() if one.grad is not None and one.grad.count_nonzero()]
    if left:
        raise Failure(f"after zero_grad() {left[0]} has a gradient")


def passes_over(subject: Subject) -> None:
    """A parameter without a gradient stays as it is, and stops nothing."""
    run = subject.run()
    inputs, targets = (half[:8] for half in run.data.splits["train"])
    first, kept = next((name, one) for name, one in run.model.named_parameters())
    before = kept.detach().clone()

    def closure() -> Tensor:
        with torch.enable_grad():
            run.optimizer.zero_grad()
            value: Tensor = run.loss(run.forward(inputs), targets)
            value.backward()  # type: ignore[no-untyped-call]
        kept.grad = None
        return value

    run.optimizer.step(closure)
    if not torch.equal(kept.detach(), before):
        raise Failure(f"{first} has no gradient, and was changed")


def _groups(run: Run) -> list[Any]:
    """Raises:
    Skip: it has no parameter groups with a learning rate.
    """
    groups: list[Any] = getattr(run.optimizer, "param_groups", [])
    if not groups or "lr" not in groups[0]:
        raise Skip("it has no learning rate in its parameter groups")
    return groups


def obeys(subject: Subject) -> None:
    """The learning rate that it was given stands in its parameter groups, where schedulers look for it."""
    groups = _groups(subject.run())
    given = subject.part().options.get("lr")
    if isinstance(given, float) and any(float(group["lr"]) != given for group in groups):
        raise Failure(f"it was given lr={given}, and its parameter groups say {[float(group['lr']) for group in groups]}")


def scheduled(subject: Subject) -> None:
    """A scheduler moves it: with a learning rate of 0 nothing changes."""
    run = subject.run()
    groups = _groups(run)
    train(run, 2)
    before = weights(run)
    for group in groups:
        group["lr"] = group["lr"] * 0  # a tensor stays one
    train(run, 1)
    if names := differing(before, weights(run)):
        raise Cannot(f"with a learning rate of 0 it changes {names[0]}: a scheduler is late, or in vain")


def sober(subject: Subject) -> None:
    """It draws nothing at random: dropout and the order of samples would be others with another optimizer."""
    run = subject.run()
    train(run, 1)
    before = torch.get_rng_state()
    train(run, 1)
    if not torch.equal(before, torch.get_rng_state()):
        raise Failure("a step draws random numbers from torch's generator; take a torch.Generator of its own")


CHECKS: list[Callable[[Subject], None]] = [descends, answers, zeroes, passes_over, obeys, sober]
CAPABILITIES: list[Callable[[Subject], None]] = [scheduled]
