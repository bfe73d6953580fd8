"""The optimizer of a run: which of torch's implementations, and which weights it has which options for."""

from __future__ import annotations

import contextlib
import fnmatch
from typing import Any

from torch import nn

from weft.build import build
from weft.catalog import Catalog
from weft.configuration import Configuration, Part
from weft.device import Device
from weft.errors import ConfigError, did_you_mean
from weft.options import check


def optimizer_of(wanted: Configuration, model: nn.Module, device: Device, catalog: Catalog) -> tuple[Configuration, Any]:
    """Build the optimizer; return it with the configuration that says which of torch's implementations it uses."""
    part = wanted.one("optimizer")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"{wanted.one('model')}: it has no weights to train")
    params = _parameter_groups(wanted, part, model)
    # Fused first, where nothing was said about it and torch has it. Its results differ in the last bits, so that the choice
    # becomes part of the configuration.
    if part.options.get("fused", False) is None and not part.options.get("foreach"):
        fused = Part(part.place, part.component, {**part.options, "fused": True})
        with contextlib.suppress(RuntimeError):  # torch's word for "not fused here"
            optimizer = build(fused, catalog, params=params, model=model)
            device.check(optimizer, part.component.name)
            return wanted.with_parts("optimizer", (fused,)), optimizer
    try:
        optimizer = build(part, catalog, params=params, model=model)
    except RuntimeError as error:
        raise ConfigError(f"{part}: {error} ({part.component})") from error
    device.check(optimizer, part.component.name)
    return wanted, optimizer


def _parameter_groups(wanted: Configuration, part: Part, model: nn.Module) -> Any:
    """Return the model's parameters, in groups by the first pattern that a name matches."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = []
    for index, group in enumerate(wanted.settings.parameter_groups):
        place = f"parameter_groups[{index}]"
        pattern = group.get("pattern")
        if not isinstance(pattern, str):
            raise ConfigError(f"{place}: {{pattern: '*.bias', OPTION: VALUE}} is what a group looks like")
        matching = [item for item in named if fnmatch.fnmatchcase(item[0], pattern)]
        if not matching:
            names = [name for name, _ in model.named_parameters()]
            raise ConfigError(
                f"{place}: no parameter left for {pattern!r}{did_you_mean(pattern, names)}; there are {', '.join(names)}"
            )
        named = [item for item in named if item not in matching]
        given = {name: value for name, value in group.items() if name != "pattern"}
        values = check(part.component.options, {**part.options, **given}, place, str(part.component))
        groups.append({"params": [parameter for _, parameter in matching], **{name: values[name] for name in given}})
    rest = [parameter for _, parameter in named]
    return [*groups, *([{"params": rest}] if rest else [])] if groups else rest
