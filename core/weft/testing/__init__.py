"""The conformance suite: what a component must keep to, so that it can be swept against everything else.

An author's test file:

    from weft.testing import conformance

    test_conformance = conformance("lion")

`weft check lion` does the same without a file.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft.testing.cases import conformance as conformance


def __getattr__(name: str) -> Any:
    if name != "conformance":
        raise AttributeError(f"module 'weft.testing' has no attribute {name!r}")
    from weft.testing.cases import conformance

    return conformance


__all__ = ["conformance"]
