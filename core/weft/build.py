"""From a chosen part to its object: the options of the config, and what the run supplies by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from weft.catalog import Catalog, Loaded
from weft.configuration import Part
from weft.errors import ConfigError, PluginError, UserError
from weft.kinds import KINDS


class Bound(torch.nn.Module):
    """A plain function as a module: its leading arguments come with each call, its options stay."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]):
        super().__init__()
        self.function = function
        self.options = dict(options)

    def forward(self, *arguments: Any) -> Any:
        return self.function(*arguments, **self.options)

    def extra_repr(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{getattr(self.function, '__name__', self.function)}{', ' if shown else ''}{shown}"


class BoundMetric:
    """A plain function of outputs and targets as a metric: its mean over the samples seen since `reset`."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]):
        self.function = partial(function, **options)
        self.higher_is_better = getattr(function, "higher_is_better", None)
        self.reset()

    def reset(self) -> None:
        self.total, self.samples = 0.0, 0

    def update(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        self.total += float(self.function(outputs, targets)) * len(targets)
        self.samples += len(targets)

    def compute(self) -> float:
        return self.total / self.samples if self.samples else float("nan")


class BoundPenalty:
    """A plain function of the model as a regularizer."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]):
        self.function = partial(function, **options)

    def penalty(self, model: torch.nn.Module, outputs: torch.Tensor) -> torch.Tensor:
        penalty: torch.Tensor = self.function(model)
        return penalty


_BOUND: dict[str, Callable[..., Any]] = {"loss": Bound, "activation": Bound, "metric": BoundMetric, "regularizer": BoundPenalty}
_SAID = ("tasks", "compares_samples", "on_policy", "batch_weight", "check")
"""What a function may say of itself, and its object says for it."""


def build(part: Part, catalog: Catalog, **supplied: Any) -> Any:
    """Return the part's object. `supplied` may hold more names than the part asks for.

    Raises:
        ConfigError: the component refused its options with a ValueError; its text is passed on, with whose it is.
        PluginError: the plugin can't be imported.
    """
    loaded = catalog.load(part.component)
    options = {name: _built(value, catalog) for name, value in part.options.items()}
    if loaded.signature.bound:
        return _bind(loaded, options, part.kind)
    wanted = {parameter: supplied[name] for parameter, name in loaded.signature.supplied.items() if name in supplied}
    try:
        made = loaded.factory(**wanted, **loaded.signature.fixed, **options)
    except UserError as error:
        raise type(error)(f"{part}: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{part}: {error} ({part.component})") from error
    except RuntimeError:
        raise  # torch's word for many a thing: whoever asked knows what was asked
    except Exception as error:
        raise PluginError(f"{part}: {type(error).__name__}: {error} ({part.component})") from error
    missing = [method for method in KINDS[part.kind].methods if not callable(getattr(made, method, None))]
    if missing:
        raise PluginError(f"{part}: made a {type(made).__name__}, which has no {', '.join(missing)} ({part.component})")
    return made


def _bind(loaded: Loaded, options: Mapping[str, Any], kind: str) -> Any:
    bound = _BOUND[kind](loaded.factory, {**loaded.signature.fixed, **options})
    for said in _SAID:
        if hasattr(loaded.factory, said):
            setattr(bound, said, getattr(loaded.factory, said))
    return bound


def _built(value: Any, catalog: Catalog) -> Any:
    """Return an option's value with each choice in it as a function that builds one."""
    if isinstance(value, Part):
        return partial(build, value, catalog)
    if isinstance(value, dict):
        return {key: _built(item, catalog) for key, item in value.items()}
    return type(value)(_built(item, catalog) for item in value) if isinstance(value, (list, tuple)) else value
