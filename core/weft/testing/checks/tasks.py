"""What is asked of tasks."""

from __future__ import annotations

from collections.abc import Callable

import torch

from weft import objective
from weft.build import build
from weft.configuration import default_part
from weft.errors import UserError
from weft.testing.outcome import Failure
from weft.testing.subject import Subject


def provided(subject: Subject) -> None:
    """Its loss and its metrics are offered, and its objective is one of their scores."""
    task = subject.build()
    for attribute in ("loss", "metrics", "objective", "check"):
        if not hasattr(task, attribute):
            raise Failure(f"it has no {attribute}")
    try:
        default_part("loss", task.loss, subject.catalog)
        supplied = {"task": subject.component.name, "outputs": 3}
        parts = [default_part("metric", name, subject.catalog) for name in task.metrics]
        objective.parse(task.objective, {part.name: build(part, subject.catalog, **supplied) for part in parts})
    except UserError as error:
        raise Failure(str(error)) from error


def refuses(subject: Subject) -> None:
    """Targets that can't be are refused with a ValueError that says what they could be."""
    task = subject.build()
    for wrong in (torch.zeros(4, 3, 2, 5), torch.zeros(4, dtype=torch.complex64)):
        try:
            task.check(3, wrong)
        except ValueError as error:
            if not str(error).strip():
                raise Failure("it refuses targets with an empty message") from error
            continue
        except Exception as error:
            raise Failure(f"targets of shape {list(wrong.shape)}: {type(error).__name__} instead of ValueError") from error
        raise Failure(f"it takes targets of {wrong.dtype} of shape {list(wrong.shape)}")


CHECKS: list[Callable[[Subject], None]] = [provided, refuses]
CAPABILITIES: list[Callable[[Subject], None]] = []
