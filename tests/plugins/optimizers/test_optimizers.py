"""Optimizers: they descend, go on exactly from a checkpoint, and muon is the two it is made of."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.plugins.box import box, kept, make, names
from weft_basics.optimizers.muon import Muon

_draw = torch.Generator().manual_seed(0)
INPUTS = torch.randn(40, 5, generator=_draw)
TARGETS = torch.randint(3, (40,), generator=_draw)

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in names("optimizer") if name != "em"},  # which isn't for any model: test_em.py
    "sgd_nesterov": ("sgd", {"momentum": 0.9, "nesterov": True, "lr": 0.05}),
    "sgd_fused": ("sgd", {"momentum": 0.9, "fused": True}),
    "adam_amsgrad": ("adam", {"amsgrad": True, "weight_decay": 0.1}),
    "adamw_fused": ("adamw", {"fused": True}),
    "rmsprop_centered": ("rmsprop", {"centered": True, "momentum": 0.5}),
    "lbfgs_wolfe": ("lbfgs", {"line_search_fn": "strong_wolfe", "max_iter": 4}),
    "muon_fused": ("muon", {"fused": True}),
}


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Tanh(), nn.Linear(7, 3)).to(dtype)


def closure(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], Tensor]:
    dtype = next(model.parameters()).dtype

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(INPUTS.to(dtype)), TARGETS)
        loss.backward()
        return loss

    return evaluate


def build(variant: str, model: nn.Module) -> torch.optim.Optimizer:
    name, options = VARIANTS[variant]
    optimizer: torch.optim.Optimizer = make("optimizer", name, params=[*model.parameters()], model=model, **options)
    return optimizer


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_descends(variant: str) -> None:
    model = network()
    optimizer = build(variant, model)
    evaluate = closure(model, optimizer)
    first = evaluate().detach()
    for _ in range(2 if "lbfgs" in variant else 30):  # its steps are long: without a line search, many of them diverge
        optimizer.step(evaluate)
    assert evaluate().detach() < first


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_goes_on_bit_for_bit_from_a_checkpoint(variant: str, tmp_path: Path) -> None:
    model = network()
    optimizer = build(variant, model)
    for _ in range(4):
        optimizer.step(closure(model, optimizer))
    twin = network()
    twin.load_state_dict(model.state_dict())
    resumed = build(variant, twin)
    resumed.load_state_dict(kept(optimizer.state_dict(), tmp_path))
    for _ in range(4):
        optimizer.step(closure(model, optimizer))
        resumed.step(closure(twin, resumed))
    assert torch.equal(weights(model), weights(twin))


def test_all_of_torch_that_trains_a_dense_model_is_there() -> None:
    theirs = {
        name.lower()
        for name, found in vars(torch.optim).items()
        if isinstance(found, type) and issubclass(found, torch.optim.Optimizer)
    }
    assert set(names("optimizer")) - {"em"} == theirs - {"optimizer", "sparseadam"}


@pytest.mark.parametrize("name", sorted(set(names("optimizer")) - {"muon", "em"}))
def test_defaults_are_torch_s(name: str) -> None:
    loaded = box()["optimizer", name]
    assert loaded.factory.__module__.startswith("torch.optim")
    options = {option.name: option.default for option in loaded.component.options}
    made = loaded.factory([nn.Parameter(torch.zeros(2))])
    plain = make("optimizer", name, params=[nn.Parameter(torch.zeros(2))])
    assert plain.defaults == made.defaults
    assert not {"maximize", "capturable", "differentiable"} & set(options)


class TestMuon:
    def test_matrices_are_muon_s_and_the_rest_adamw_s(self) -> None:
        model, twin = network(), network()
        optimizer = Muon(model.parameters(), lr=0.02, adamw_lr=0.003, weight_decay=0.05)
        flat = [parameter for parameter in twin.parameters() if parameter.ndim == 2]
        rest = [parameter for parameter in twin.parameters() if parameter.ndim != 2]
        muon = torch.optim.Muon(flat, lr=0.02, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
        adamw = torch.optim.AdamW(rest, lr=0.003, weight_decay=0.05)
        for _ in range(5):
            optimizer.step(closure(model, optimizer))
            twin.zero_grad()
            nn.functional.cross_entropy(twin(INPUTS), TARGETS).backward()
            muon.step()
            adamw.step()
        assert torch.equal(weights(model), weights(twin))

    def test_one_rate_serves_both_unless_said_otherwise(self) -> None:
        assert [group["lr"] for group in Muon(network().parameters(), lr=0.02).param_groups] == [0.02, 0.02]
        assert [group["lr"] for group in Muon(network().parameters(), lr=0.02, adamw_lr=0.1).param_groups] == [0.02, 0.1]

    def test_embeddings_are_adamw_s(self) -> None:
        model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 3))
        matrices, others = Muon(model.parameters(), model).param_groups
        assert [parameter.shape for parameter in matrices["params"]] == [(3, 4)]
        assert [parameter.shape for parameter in others["params"]] == [(9, 4), (3,)]

    def test_a_group_keeps_its_own_options(self) -> None:
        first, last = network()[0], network()[3]
        groups = [{"params": first.parameters(), "lr": 0.5, "momentum": 0.1}, {"params": last.parameters()}]
        made = Muon(groups, lr=0.02).param_groups
        assert [(group["lr"], group.get("momentum")) for group in made] == [(0.5, 0.1), (0.02, 0.95), (0.5, None), (0.02, None)]

    def test_a_model_of_matrices_alone(self) -> None:
        model = nn.Linear(5, 3, bias=False)
        optimizer = Muon(model.parameters(), lr=0.1)
        before = weights(model)
        optimizer.step(closure(model, optimizer))
        assert not torch.equal(before, weights(model))

    def test_a_model_without_matrices_is_refused(self) -> None:
        with pytest.raises(ValueError, match="there are none to train here; adamw trains all"):
            Muon([nn.Parameter(torch.zeros(3))])

    def test_a_scheduler_moves_both_rates(self) -> None:
        model = network()
        optimizer = Muon(model.parameters(), lr=0.02, adamw_lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
        optimizer.step(closure(model, optimizer))
        scheduler.step()
        assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.05]
        before, _ = weights(model), optimizer.step(closure(model, optimizer))
        assert not torch.equal(before, weights(model))

    def test_a_rate_of_zero_set_on_the_groups_stops_both(self) -> None:
        model = network()
        optimizer = Muon(model.parameters())
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        before = weights(model)
        optimizer.step(closure(model, optimizer))
        assert torch.equal(before, weights(model))

    def test_a_copy_goes_on_alone(self) -> None:
        model = network()
        optimizer = Muon(model.parameters())
        optimizer.step(closure(model, optimizer))
        twin, other = copy.deepcopy((model, optimizer))
        optimizer.step(closure(model, optimizer))
        assert not torch.equal(weights(model), weights(twin))
        other.step(closure(twin, other))
        assert torch.equal(weights(model), weights(twin))

    def test_step_returns_what_the_closure_does_and_needs_none(self) -> None:
        model = network()
        optimizer = Muon(model.parameters())
        evaluate = closure(model, optimizer)
        expected = float(evaluate().detach())
        assert optimizer.step() is None
        assert float(optimizer.step(lambda: torch.tensor(expected))) == pytest.approx(expected)
