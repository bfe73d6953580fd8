"""Penalties by their formulas."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from weft import UserError
from weft_basics.regularizers.penalties import elastic_net, l1, l2

PENALTIES: list[Callable[..., Tensor]] = [l1, l2, elastic_net]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).double()


def test_formulas_over_weights_alone() -> None:
    model = network()
    numbers = torch.cat([model[0].weight.flatten(), model[3].weight.flatten()]).detach().numpy()
    absolute, squares = abs(numbers).sum(), (numbers**2).sum()
    assert float(l1(model, 0.3).detach()) == pytest.approx(0.3 * absolute)
    assert float(l2(model, 0.3).detach()) == pytest.approx(0.3 * squares)
    assert float(elastic_net(model, 0.3, 0.2).detach()) == pytest.approx(0.3 * (0.2 * absolute + 0.8 * squares))


@pytest.mark.parametrize("penalty", PENALTIES)
def test_gradients(penalty: Callable[..., Tensor]) -> None:
    model = network()
    values = [parameter.detach().clone().requires_grad_() for parameter in model.parameters()]
    names = [name for name, _ in model.named_parameters()]

    class Values(nn.Module):
        def parameters(self, recurse: bool = True) -> object:  # type: ignore[override]
            return iter(self.values)

    def penalised(*values: Tensor) -> Tensor:
        holder = Values()
        object.__setattr__(holder, "values", values)
        return penalty(holder, 0.7)

    assert len(names) == 6
    assert torch.autograd.gradcheck(penalised, values)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_biases_and_scales_are_left_alone(penalty: Callable[..., Tensor]) -> None:
    model = network()
    penalty(model).backward()
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == {"0.weight", "3.weight"}


def test_l2_is_weight_decay_of_twice_the_strength() -> None:
    torch.manual_seed(3)
    model = nn.Linear(4, 3, bias=False)
    twin = nn.Linear(4, 3, bias=False)
    twin.load_state_dict(model.state_dict())
    penalised, decayed = torch.optim.SGD(model.parameters(), 0.1), torch.optim.SGD(twin.parameters(), 0.1, weight_decay=0.2)
    l2(model, 0.1).backward()
    twin.weight.grad = torch.zeros_like(twin.weight)
    penalised.step()
    decayed.step()
    torch.testing.assert_close(model.weight, twin.weight)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_model_without_weights_is_refused(penalty: Callable[..., Tensor]) -> None:
    with pytest.raises(UserError, match="LayerNorm has no weights with two dimensions or more"):
        penalty(nn.LayerNorm(3))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_penalty_can_be_mapped_over_many_models_at_once(penalty: Callable[..., Tensor]) -> None:
    models = [nn.Linear(3, 2) for _ in range(4)]
    stacked, _ = stack_module_state(models)  # type: ignore[arg-type]

    class Penalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Linear(3, 2)

        def forward(self, weight: Tensor) -> Tensor:
            return penalty(self.model, weight)

    holder = Penalised()

    def value(parameters: dict[str, Tensor], weight: Tensor) -> Tensor:
        named = {f"model.{name}": tensor for name, tensor in parameters.items()}
        found: Tensor = functional_call(holder, named, (weight,))
        return found

    strengths = torch.tensor([0.1, 0.2, 0.3, 0.4])
    mapped = vmap(grad(value))(stacked, strengths)
    for index, model in enumerate(models):
        penalty(model, float(strengths[index])).backward()
        torch.testing.assert_close(mapped["weight"][index], model.weight.grad)
