"""The variables of a tf.Module: their names, and others put in their place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from weft_tensorflow.starting import tensorflow

_TRACKING = ("_self_", "_tf_", "_obj_")
"""How attributes begin that TensorFlow keeps for itself."""


def variables_of(module: Any) -> dict[str, Any]:
    """Return a module's variables by where they are in it: `hidden.0.kernel`. One that is in two places has the first's name.

    Raises:
        ValueError: a name that two have.
    """
    tf = tensorflow()
    found: dict[str, Any] = {}
    for path, variable in module._flatten(predicate=lambda one: isinstance(one, tf.Variable), with_path=True):
        name = ".".join(str(part).replace(".", "_") for part in path)
        if name in found:
            raise ValueError(f"two variables of {type(module).__name__} have the name {name}")
        found[name] = variable
    return found


@contextlib.contextmanager
def replaced(module: Any, others: Mapping[Any, Any]) -> Iterator[None]:
    """Put other variables in the place of some, wherever a module and those in it have them, for as long as it lasts.

    Args:
        module: a tf.Module.
        others: the variable to be there instead, by the `ref()` of the one that is.
    """
    tf = tensorflow()

    def other(value: Any) -> Any:
        return others.get(value.ref(), value) if isinstance(value, tf.Variable) else value

    before: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for owner in (module, *module.submodules) if others else ():
            attributes = vars(owner)
            for name, value in [*attributes.items()]:
                if not name.startswith(_TRACKING) and any(other(one) is not one for one in tf.nest.flatten(value)):
                    before.append((attributes, name, value))
                    attributes[name] = tf.nest.map_structure(other, value)
        yield
    finally:
        for attributes, name, value in before:
            attributes[name] = value
