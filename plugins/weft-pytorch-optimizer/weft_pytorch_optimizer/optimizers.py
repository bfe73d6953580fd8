"""The optimizers as weft reads them, made when they are asked for: `weft_pytorch_optimizer.optimizers:adabelief`.

The library's signatures are read here, and nowhere else: a parameter has the library's type and default, and the range and help
of `ranges.py`; `**kwargs`, and what is no option, stay away.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from enum import IntEnum
from importlib import import_module
from typing import Annotated, Any, get_type_hints

from torch.optim import Optimizer

from weft_pytorch_optimizer.drawing import Drawing
from weft_pytorch_optimizer.kept import Kept
from weft_pytorch_optimizer.names import CANNOT, DRAWING, OPTIMIZERS
from weft_pytorch_optimizer.ranges import NO_EFFECT, OWN, RANGES, TYPES

_SUPPLIED = ("params", "model")


def __getattr__(name: str) -> type[Optimizer]:
    if name not in OPTIMIZERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return optimizer(name)


@functools.cache
def optimizer(name: str) -> type[Optimizer]:
    """Return an optimizer's class, with a signature that weft can read and a state that a checkpoint can hold."""
    module, _, attribute = OPTIMIZERS[name].partition(":")
    made: type[Optimizer] = getattr(import_module(module), attribute)
    mixed = (Kept, Drawing, made) if name in DRAWING else (Kept, made)
    described = {
        "__init__": _constructor(name, made),
        "__doc__": made.__doc__,
        "__module__": made.__module__,
        "__qualname__": made.__qualname__,
        "cannot": CANNOT.get(name, {}),
    }
    return type(made.__name__, mixed, described)


def parameters(made: type) -> dict[str, inspect.Parameter]:
    """Return the parameters of a class, with those of its base where it passes `**options` on to it, annotations evaluated.

    What the library's own classes take as `**kwargs` is not described anywhere, and left out.
    """
    found: dict[str, inspect.Parameter] = {}
    for owner in made.__mro__:
        if "__init__" not in vars(owner):
            continue
        constructor = vars(owner)["__init__"]
        hints = get_type_hints(constructor, include_extras=True)
        given = [*inspect.signature(constructor).parameters.values()][1:]
        for parameter in given:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                found.setdefault(parameter.name, parameter.replace(annotation=hints.get(parameter.name, parameter.empty)))
        if not owner.__module__.startswith("weft_") or given[-1].kind is not inspect.Parameter.VAR_KEYWORD:
            break
    return found


def _constructor(name: str, made: type[Optimizer]) -> Callable[..., None]:
    first: Callable[..., None] = Drawing.__init__ if name in DRAWING else made.__init__

    def __init__(self: Optimizer, *given: Any, **options: Any) -> None:
        first(self, *given, **options)

    offered = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *_offered(name, made)]
    __init__.__signature__ = inspect.Signature(offered)  # type: ignore[attr-defined]
    __init__.__annotations__ = {parameter.name: parameter.annotation for parameter in offered[1:]}
    return __init__


def _offered(name: str, made: type[Optimizer]) -> Iterator[inspect.Parameter]:
    own = OWN.get(name, {})
    for parameter in parameters(made).values():
        marks = own.get(parameter.name) or RANGES.get(parameter.name)
        if parameter.name in _SUPPLIED:
            yield parameter.replace(annotation=Any, kind=parameter.KEYWORD_ONLY)
        elif marks is not None and parameter.name not in NO_EFFECT.get(name, ()):
            default = int(parameter.default) if isinstance(parameter.default, IntEnum) else parameter.default
            yield parameter.replace(
                annotation=Annotated[_type(parameter), *marks], default=default, kind=parameter.KEYWORD_ONLY
            )


def _type(parameter: inspect.Parameter) -> Any:
    """Return a parameter's type. The library's says of a tuple only that it has two numbers or three: the default knows."""
    if isinstance(parameter.default, tuple) and all(isinstance(item, float) for item in parameter.default):
        return tuple[(float,) * len(parameter.default)]  # type: ignore[misc]
    return TYPES.get(parameter.name, parameter.annotation)
