"""What all losses have in common: gradients, batching rules, enough bits, no state."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from tests.plugins.box import box, make, names
from tests.plugins.losses.cases import (
    EVERY,
    OF_EMBEDDINGS,
    OF_EXPERIENCE,
    OF_LABELS,
    OF_NUMBERS,
    OF_SAMPLES,
    fed,
    loss,
    sequences,
)
from weft_basics.experience import Experience, packed


def test_every_loss_is_among_the_cases() -> None:
    assert {name for name, _ in EVERY.values()} == {*names("loss")}


@pytest.mark.parametrize("case", EVERY)
def test_gradients_by_finite_differences(case: str) -> None:
    outputs, targets = fed(case)
    subject = loss(case)
    assert torch.autograd.gradcheck(lambda outputs: subject(outputs, targets), outputs.requires_grad_())


@pytest.mark.parametrize("case", OF_LABELS)
def test_gradients_of_sequences_by_finite_differences(case: str) -> None:
    outputs, targets = sequences()
    subject = loss(case)
    assert torch.autograd.gradcheck(lambda outputs: subject(outputs, targets), outputs.requires_grad_())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", EVERY)
def test_a_loss_can_be_mapped_over_many_models_at_once(case: str) -> None:
    """What training jobs side by side needs: pure functions, with batching rules for all they do."""
    outputs, targets = fed(case)
    check_mapped(case, outputs, targets)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", OF_LABELS)
def test_a_loss_of_sequences_can_be_mapped(case: str) -> None:
    check_mapped(case, *sequences())


def check_mapped(case: str, outputs: Tensor, targets: Tensor) -> None:
    subject = loss(case)
    subject(outputs, targets)  # as a run does before it begins
    inputs = torch.randn(*outputs.shape[:-1], 3, dtype=torch.float64)
    weights = torch.randn(5, 3, outputs.shape[-1], dtype=torch.float64)
    mapped = vmap(grad(lambda weight: subject(inputs @ weight, targets)))(weights)
    for weight, gradient in zip(weights, mapped, strict=True):
        torch.testing.assert_close(gradient, grad(lambda w: subject(inputs @ w, targets))(weight))


@pytest.mark.parametrize("case", [*OF_LABELS, *OF_EMBEDDINGS])
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_outputs_of_16_bits_are_summed_in_32(case: str, precision: torch.dtype) -> None:
    outputs, targets = (5 * torch.randn(64, 100)).to(precision), torch.randint(30, (64,))
    if EVERY[case][0] == "nll":  # the logarithm is the model's; what it rounds is no fault of the loss
        outputs, subject = outputs.float().log_softmax(1).to(precision), make("loss", "nll")
    else:
        subject = loss(case, outputs=100)
    found = subject(outputs, targets)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, subject(outputs.float(), targets))


@pytest.mark.parametrize("case", OF_NUMBERS)
def test_numbers_of_16_bits_are_summed_in_32_under_autocast(case: str) -> None:
    outputs, targets = torch.randn(64, 100).bfloat16(), torch.randint(5, (64, 100)).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(case)(outputs, targets)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss(case)(outputs.float(), targets))


@pytest.mark.parametrize("case", EVERY)
def test_large_outputs_have_a_finite_loss_and_gradient(case: str) -> None:
    outputs = torch.tensor([[80.0, -80.0], [-80.0, 80.0], [80.0, 80.0], [80.0, -80.0]], requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1])
    done = packed(Experience(labels, torch.ones(4), torch.ones(4), torch.zeros(4)))
    targets = torch.zeros(4, 2) if case in (*OF_NUMBERS, *OF_SAMPLES) else done if case in OF_EXPERIENCE else labels
    found = loss(case, outputs=2)(outputs, targets)
    (gradient,) = torch.autograd.grad(found, outputs)
    assert found.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", names("loss"))
def test_class_weights_are_no_part_of_the_state(name: str) -> None:
    loaded = box()["loss", name]
    if not loaded.signature.bound:
        assert make("loss", name, outputs=2, class_weights=torch.ones(2)).state_dict() == {}


@pytest.mark.parametrize("name", names("loss"))
def test_a_summary_is_a_whole_sentence(name: str) -> None:
    summary = box()["loss", name].component.summary
    assert summary.count("(") == summary.count(")")
