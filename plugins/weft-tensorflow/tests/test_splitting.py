"""Graphs cut in two: that they are, that nothing is lost, and what is computed again instead."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.networks import Dropped, Looped, Normalized, tf
from weft_tensorflow import TensorFlowModel, program
from weft_tensorflow.splitting import Halves

MODULES: dict[str, Any] = {
    "dropped": (lambda: Dropped(6, 3), lambda: torch.randn(5, 6)),
    "normalized": (lambda: Normalized(6, 3), lambda: torch.randn(5, 6)),
    "looped": (lambda: Looped(9, 3), lambda: torch.randint(9, (5, 7))),
}


def stepped(name: str) -> tuple[list[Tensor], list[Tensor]]:
    """Return outputs and gradients of two steps."""
    torch.manual_seed(0)
    make, inputs = MODULES[name]
    model = TensorFlowModel(make)
    outputs = []
    for _ in range(2):
        outputs.append(model(inputs()))
        outputs[-1].square().sum().backward()
    return [one.detach() for one in outputs], [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("name", MODULES)
def test_in_two_parts_it_is_what_it_is_as_a_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[Halves] = []
    split = program.split

    def noted(*arguments: Any) -> Halves:
        cut.append(split(*arguments))
        return cut[-1]

    monkeypatch.setattr(program, "split", noted)
    outputs, gradients = stepped(name)
    assert [halves.rereads for halves in cut] == [name == "looped"]
    monkeypatch.setattr(program.Program, "_split", lambda *_: None)
    expected, expected_gradients = stepped(name)
    assert len(gradients) == len(expected_gradients) > 0
    for found, there in zip(outputs + gradients, expected + expected_gradients, strict=True):
        assert torch.allclose(found, there, rtol=1e-5, atol=1e-6)


class Checked(tf.Module):
    """Refuses large numbers, and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.ones((3, 3)))
        self.calls = tf.Variable(0, trainable=False)

    def __call__(self, inputs: Any) -> Any:
        tf.debugging.assert_less(tf.reduce_max(inputs), 100.0, "too large")
        self.calls.assign_add(1)
        return tf.tanh(inputs @ self.kernel)


def test_checks_and_effects_stay_in_the_first_part() -> None:
    model = TensorFlowModel(Checked)
    model(torch.ones(2, 3)).sum().backward()
    model(torch.ones(2, 3)).sum().backward()
    assert model.get_buffer("calls") == 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="too large"):
        model(torch.full((2, 3), 200.0))


class Recomputed(tf.Module):
    """Its gradient reads the kernel again."""

    def __init__(self, counts: bool) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.ones((3, 1)))
        self.calls = tf.Variable(0.0, trainable=False) if counts else None

    def __call__(self, inputs: Any) -> Any:
        if self.calls is not None:
            self.calls.assign_add(1)
        return tf.recompute_grad(lambda x: tf.square(x @ self.kernel))(inputs)


@pytest.mark.parametrize("counts", [False, True])
def test_a_gradient_that_reads_variables_reads_its_own_weights(counts: bool) -> None:
    """By the time of the backward pass another call has left other weights in them."""
    model = TensorFlowModel(lambda: Recomputed(counts))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.get_parameter("kernel").mul_(10)
    first, second = model(torch.ones(1, 3)), other(torch.ones(1, 3))
    (first + second).sum().backward()
    assert torch.equal(model.get_parameter("kernel").grad, torch.full((3, 1), 6.0))
    assert torch.equal(other.get_parameter("kernel").grad, torch.full((3, 1), 60.0))


def test_what_is_kept_for_the_gradients_is_let_go_with_them() -> None:
    torch.manual_seed(0)
    model = TensorFlowModel(lambda: Dropped(6, 3))
    outputs = model(torch.randn(5, 6))
    call = outputs.grad_fn.call
    assert call.kept is not None
    outputs.sum().backward()
    assert call.kept is None
    with torch.no_grad():
        assert model(torch.randn(5, 6)).grad_fn is None
