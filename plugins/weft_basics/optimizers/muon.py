"""Muon for the matrices, AdamW for all else, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from weft import Range

Rate = Range(1e-6, 10, log=True)


class Muon(torch.optim.Optimizer):
    """Orthogonalized momentum for weights with two dimensions, AdamW for embeddings and all other weights.

    torch.optim.Muon and torch.optim.AdamW, sharing the weights among them. As `adjust_lr_fn` is by default
    `match_rms_adamw`, one learning rate serves both. Convolutions have four dimensions and are AdamW's. Jordan et al., "Muon:
    an optimizer for hidden layers in neural networks", 2024; Liu et al., "Muon is scalable for LLM training", 2025.

    Raises:
        ValueError: there is no weight with two dimensions.
    """

    def __init__(
        self,
        params: Iterable[Any],
        model: nn.Module | None = None,
        lr: Annotated[float, Rate, "learning rate"] = 1e-3,
        weight_decay: Annotated[float, Range(0, 1), "of both, beside the gradient"] = 0.01,
        momentum: Annotated[float, Range(0, 0.9999), "of the matrices"] = 0.95,
        nesterov: bool = True,
        ns_steps: Annotated[int, Range(1, 99), "Newton-Schulz iterations"] = 5,
        adjust_lr_fn: Annotated[
            Literal["original", "match_rms_adamw"], "what makes steps alike for matrices of any shape"
        ] = "match_rms_adamw",
        adamw_lr: Annotated[float | None, Rate, "learning rate of all else; null: lr"] = None,
        betas: Annotated[tuple[float, float], Range(0, 0.99999), "of AdamW"] = (0.9, 0.999),
        eps: Annotated[float, Range(1e-16, 1, log=True), "of AdamW"] = 1e-8,
        foreach: Annotated[bool | None, "of AdamW"] = None,
        fused: Annotated[bool | None, "of AdamW"] = None,
    ):
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
            "adamw_lr": adamw_lr,
            "betas": betas,
            "eps": eps,
            "foreach": foreach,
            "fused": fused,
        }
        modules = model.modules() if model is not None else ()
        embeddings = {id(module.weight) for module in modules if isinstance(module, (nn.Embedding, nn.EmbeddingBag))}
        matrices: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for group in _groups(params):
            options = {**defaults, **group}
            weights = list(group["params"])
            flat = [weight for weight in weights if weight.ndim == 2 and id(weight) not in embeddings]
            rest = [weight for weight in weights if weight.ndim != 2 or id(weight) in embeddings]
            if flat:
                matrices.append({"params": flat, **_of_muon(options)})
            if rest:
                others.append({"params": rest, **_of_adamw(options)})
        if not matrices:
            raise ValueError("muon is for weights with two dimensions, and there are none to train here; adamw trains all")
        self._parts: list[torch.optim.Optimizer] = [torch.optim.Muon(matrices)]
        if others:
            self._parts.append(torch.optim.AdamW(others, foreach=foreach, fused=fused))
        super().__init__([group for part in self._parts for group in part.param_groups], {"lr": lr})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all weights once; `closure` is called once, and what it returns is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            # The groups and the state are replaced whenever a state is loaded; this optimizer's are the ones that count.
            part.state = self.state
            part.param_groups = [group for group in self.param_groups if ("betas" in group) == _is_adamw(part)]
            part.step()
        return loss

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_parts": self._parts}


def _groups(params: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the groups, one when `params` are plain tensors."""
    given = list(params)
    if given and isinstance(given[0], Mapping):
        return [dict(group) for group in given]
    weights: list[Tensor] = given
    return [{"params": weights}]


def _of_muon(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("lr", "weight_decay", "momentum", "nesterov", "ns_steps", "adjust_lr_fn")}


def _of_adamw(options: Mapping[str, Any]) -> dict[str, Any]:
    rate = options["lr"] if options["adamw_lr"] is None else options["adamw_lr"]
    return {"lr": rate, **{name: options[name] for name in ("weight_decay", "betas", "eps", "foreach", "fused")}}


def _is_adamw(part: torch.optim.Optimizer) -> bool:
    return isinstance(part, torch.optim.AdamW)
