"""A factory's signature as options; values checked against them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import pytest
import torch

from weft import Choice, ConfigError, PluginError, Range, fixed, supplied
from weft.kinds import KINDS
from weft.options import MISSING, Option, check, signature

if TYPE_CHECKING:
    from nowhere import Unknown


class Model:
    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        width: Annotated[int, Range(1, 99), "units"] = 7,
        activation: Annotated[Callable[[], torch.nn.Module], Choice("activation")] = "relu",  # type: ignore[assignment]
        strange: Unknown = None,
        hook: Callable[[int], int] = len,  # type: ignore[assignment]
        sizes: tuple[int, int] = (1, 2),
        untyped=0.5,  # type: ignore[no-untyped-def]
        *rest: int,
        **more: int,
    ): ...


def names(options: tuple[Option, ...]) -> list[str]:
    return [option.name for option in options]


def test_what_the_run_supplies_is_no_option_and_what_cannot_be_typed_is_left_out() -> None:
    found = signature(Model, KINDS["model"], {})
    assert names(found.options) == ["width", "activation", "sizes", "untyped"]
    assert dict(found.supplied) == {"inputs": "inputs", "outputs": "outputs"}
    assert found.options[0] == Option("width", found.options[0].type, 7, "units")
    assert found.options[0].range == "1 to 99"
    assert found.options[2].default == (1, 2)


def test_options_survive_json() -> None:
    for option in signature(Model, KINDS["model"], {}).options:
        assert Option.load(option.dump()) == option


def test_foreign_parameters_are_typed_bound_and_fixed() -> None:
    found = signature(
        torch.optim.lr_scheduler.CosineAnnealingLR,
        KINDS["scheduler"],
        {"T_max": supplied("total_steps"), "last_epoch": fixed(-1), "eta_min": Annotated[float, Range(0, 1)]},
    )
    assert names(found.options) == ["eta_min"]
    assert dict(found.supplied) == {"optimizer": "optimizer", "T_max": "total_steps"}
    assert dict(found.fixed) == {"last_epoch": -1}


def test_torch_optimizers_are_typed_as_they_are() -> None:
    found = {option.name: option for option in signature(torch.optim.AdamW, KINDS["optimizer"], {}).options}
    assert str(found["lr"].type) == "float"
    assert found["betas"].default == (0.9, 0.999)
    assert str(found["fused"].type) == "bool | null"
    assert "params" not in found


def test_a_plain_function_keeps_its_leading_arguments() -> None:
    def penalty(model: torch.nn.Module, weight: float = 0.1) -> torch.Tensor: ...

    found = signature(penalty, KINDS["regularizer"], {})
    assert found.bound
    assert names(found.options) == ["weight"]


@pytest.mark.parametrize(
    ("factory", "overrides", "message"),
    [
        (lambda params, thing: None, {}, "parameter 'thing' must be given, and weft can't read its type"),
        (lambda params, lr=1.0: None, {"lrr": float}, "there is no parameter 'lrr' (did you mean 'lr'?)"),
        (
            lambda params, lr=1.0: None,
            {"lr": supplied("inputs")},
            "'inputs' is not supplied to the optimizer: params, model are",
        ),
        (lambda params, name="x": None, {}, "an option can't be called 'name'"),
    ],
)
def test_a_signature_that_cannot_be_used_is_the_plugin_s_error(factory, overrides, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PluginError, match="^" + re.escape(message)):
        signature(factory, KINDS["optimizer"], overrides)


def test_values_are_checked_and_defaults_filled_in() -> None:
    options = signature(Model, KINDS["model"], {}).options
    found = check(options, {"width": "8"}, "model", "model m of weft-x 1.0")
    assert found == {"width": 8, "activation": {"name": "relu"}, "sizes": (1, 2), "untyped": 0.5}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"widht": 3},
            "model.widht: M has no option 'widht' (did you mean 'width'?); there are width, activation, sizes, untyped",
        ),
        ({"width": 0}, "model.width: 0 is out of range: 1 to 99 (M: int, 1 to 99, default 7)"),
        ({"sizes": [1, "x"]}, "model.sizes[1]: 'x' is not a whole number (M: tuple[int, int], default [1, 2])"),
    ],
)
def test_a_mistake_names_place_value_and_owner(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(signature(Model, KINDS["model"], {}).options, values, "model", "M")
    assert str(caught.value) == message


def test_what_must_be_given_is_asked_for() -> None:
    def dataset(split_seed: int, path: str) -> None: ...

    options = signature(dataset, KINDS["dataset"], {}).options
    assert options[0].default == MISSING
    with pytest.raises(ConfigError, match=r"dataset\.path: D needs it \(str\); give dataset\.path=…"):
        check(options, {}, "dataset", "D")
