"""Muon, for models that aren't all matrices."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from torch import Tensor

from weft import Range

_Decay = Annotated[float, Range(0, 10)]


class Muon(torch.optim.Optimizer):
    """Muon on the weights that are matrices, AdamW on all others.

    Muon orthogonalises the momentum of a matrix by a Newton-Schulz iteration (Jordan 2024) and is defined for matrices
    alone; biases, filters and embeddings of other shapes are AdamW's. Both are torch's.

    Raises:
        ValueError: the model has no matrix.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Annotated[float, Range(0, 10), "of the matrices"] = 1e-3,
        weight_decay: Annotated[_Decay, "of all weights"] = 0.1,
        momentum: Annotated[float, Range(0, 1), "of the matrices"] = 0.95,
        nesterov: Annotated[bool, "look ahead"] = True,
        ns_steps: Annotated[int, Range(1, 99), "of the Newton-Schulz iteration"] = 5,
        rest_lr: Annotated[float, Range(0, 10), "of AdamW, for the rest"] = 1e-3,
    ):
        matrices: list[dict[str, Any]] = []
        rest: list[dict[str, Any]] = []
        for group in _groups(params):
            options = {name: value for name, value in group.items() if name not in ("params", "rest_lr")}
            flat = [weight for weight in group["params"] if weight.dim() != 2]
            square = [weight for weight in group["params"] if weight.dim() == 2]
            if square:
                matrices.append({**options, "params": square})
            if flat:
                shared = {name: value for name, value in options.items() if name == "weight_decay"}
                rest.append({**shared, "params": flat, "lr": group.get("rest_lr", rest_lr)})
        if not matrices:
            raise ValueError("the model has no weight that is a matrix, which is what Muon is for")
        self._muon = torch.optim.Muon(
            matrices, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov, ns_steps=ns_steps
        )
        self._adamw = torch.optim.AdamW(rest, lr=rest_lr, weight_decay=weight_decay) if rest else None
        inner = [self._muon, *([self._adamw] if self._adamw else [])]
        super().__init__([group for optimizer in inner for group in optimizer.param_groups], {})
        self._matrix_groups = len(matrices)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """Evaluate the loss where a closure is given, then update matrices and the rest."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # Groups and state are this optimizer's: schedulers and checkpoints change or replace them.
        for optimizer, groups in (
            (self._muon, self.param_groups[: self._matrix_groups]),
            (self._adamw, self.param_groups[self._matrix_groups :]),
        ):
            if optimizer is not None:
                optimizer.param_groups, optimizer.state = groups, self.state
                optimizer.step()
        return loss


def _groups(params: Iterable[Any]) -> list[dict[str, Any]]:
    found = list(params)
    return found if found and isinstance(found[0], dict) else [{"params": found}]
