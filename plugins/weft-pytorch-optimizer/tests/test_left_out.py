"""Everything that the library has is offered, or left out with a reason."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest
import pytorch_optimizer
from pytorch_optimizer import loss, lr_scheduler, optimizer
from torch.optim import Optimizer

import weft_pytorch_optimizer
from weft.catalog import catalog
from weft_pytorch_optimizer.names import LOSSES, OPTIMIZERS, SCHEDULERS

OFFERED = {"optimizer": OPTIMIZERS, "loss": LOSSES, "scheduler": SCHEDULERS}
FUNCTIONS = {"chebyshev": "get_chebyshev_schedule", "warmup_stable_decay": "get_wsd_schedule"}
"""What is a function in the library, and has another name there."""
HELPERS = {
    "get_supported_loss_functions",
    "get_supported_lr_schedulers",
    "load_lr_scheduler",
    "get_chebyshev_perm_steps",
    "bi_tempered_logistic_loss",
    "soft_dice_score",
    "soft_jaccard_score",
}
"""Functions of the library that are none of the three, or the inside of a class that is offered."""


def library(kind: str) -> set[str]:
    """Return the names in lower case of all that the library has of a kind: what its own tables hold, and what it exports."""
    modules = {"optimizer": optimizer, "loss": loss, "scheduler": lr_scheduler}
    tables = {
        "optimizer": optimizer.OPTIMIZER_LIST,
        "loss": loss.LOSS_FUNCTION_LIST,
        "scheduler": [*lr_scheduler.LR_SCHEDULER_LIST.values()],
    }
    found = {made.__name__ for made in tables[kind]} | exported(modules[kind], kind)
    if kind == "optimizer":
        found |= {name for name, value in vars(pytorch_optimizer).items() if is_optimizer(value)}
    return {name.lower() for name in found}


def exported(module: ModuleType, kind: str) -> set[str]:
    wanted = [name for name in module.__all__ if name not in HELPERS]
    classes = {name for name in wanted if inspect.isclass(getattr(module, name))}
    return classes if kind == "optimizer" else set(wanted)


def is_optimizer(value: object) -> bool:
    return inspect.isclass(value) and (issubclass(value, Optimizer) or value.__name__.endswith("Optimizer"))


def offered(kind: str) -> set[str]:
    """Return what is offered, by its name in the library in lower case."""
    return {FUNCTIONS.get(name, path.partition(":")[2]).lower() for name, path in OFFERED[kind].items()}


@pytest.mark.parametrize("kind", OFFERED)
def test_all_of_the_library_is_offered_or_left_out_with_a_reason(kind: str) -> None:
    left_out = weft_pytorch_optimizer.left_out[kind]
    assert offered(kind) | left_out.keys() == library(kind)
    assert not offered(kind) & left_out.keys()
    assert all(reason.strip() for reason in left_out.values())


@pytest.mark.parametrize("kind", OFFERED)
def test_what_weft_is_said_to_have_it_has_and_no_name_of_its_own_is_taken(kind: str) -> None:
    basics = {name for name, same in catalog().components[kind].items() if any(one.plugin.name == "basics" for one in same)}
    assert basics
    assert not basics & OFFERED[kind].keys()
    for name, reason in weft_pytorch_optimizer.left_out[kind].items():
        if "weft has" in reason:
            assert (reason.rpartition(" as ")[2] if " as " in reason else name) in basics, name


def test_weft_lists_all_of_it_and_nothing_is_broken() -> None:
    ours = [one.plugin for one in catalog().components["optimizer"]["adabelief"]]
    assert [plugin.distribution for plugin in ours] == ["weft-pytorch-optimizer"]
    assert not {key for key, (plugin, _) in catalog().broken.items() if plugin == ours[0]}
    assert not catalog().conflicts()
    for kind, names in OFFERED.items():
        listed = {name for name, same in catalog().components[kind].items() if same[0].plugin == ours[0]}
        assert listed == names.keys()
