"""What is asked of activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from weft.testing.checks.every import compiled, gradchecked, together
from weft.testing.outcome import Failure
from weft.testing.subject import Subject


def _given(subject: Subject, dtype: torch.dtype = torch.float64) -> tuple[Any, Tensor]:
    """Return the activation, and numbers around zero; not 0 itself, where many have a corner."""
    made = subject.build()
    values = torch.linspace(-3.97, 4.03, 42, dtype=dtype).reshape(6, 7)
    return made.to(dtype) if isinstance(made, torch.nn.Module) else made, values


def shaped(subject: Subject) -> None:
    """It answers with numbers of the same shape and type, finite, and leaves its input as it is."""
    for dtype in (torch.float32, torch.float64):
        activation, values = _given(subject, dtype)
        kept = values.clone()
        found = activation(values)
        if found.shape != values.shape or found.dtype != dtype:
            raise Failure(f"of {dtype} {list(values.shape)} it makes {found.dtype} {list(found.shape)}")
        if not found.isfinite().all():
            raise Failure("it is not finite between -4 and 4")
        if not torch.equal(kept, values):
            raise Failure("it changes its input in its place")


def gradients(subject: Subject) -> None:
    """Its gradients, in float64, are those of what it computes."""
    activation, values = _given(subject)
    gradchecked(activation, values.requires_grad_())


def vmap(subject: Subject) -> None:
    """It runs under torch.func.vmap."""
    activation, values = _given(subject)
    several = torch.stack([values, 2 * values])
    together(activation, torch.stack([activation(one) for one in several]), several)


def compiles(subject: Subject) -> None:
    """torch.compile takes it whole, and it is the same."""
    activation, values = _given(subject, torch.float32)
    with torch.no_grad():
        compiled(activation, values)


CHECKS: list[Callable[[Subject], None]] = [shaped, gradients]
CAPABILITIES: list[Callable[[Subject], None]] = [vmap, compiles]
