"""Optimizers of matrices, with AdamW for all else: embeddings, biases, normalisations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytorch_optimizer
import torch
from pytorch_optimizer.base.optimizer import BaseOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer


class Matrices(BaseOptimizer):
    """What such an optimizer is mixed with: it has the weights told apart for the library, which has its own AdamW.

    Raises:
        ValueError: there is no weight with two dimensions or more that is no embedding.
    """

    def __init__(self, params: Iterable[Any], model: nn.Module | None = None, **options: Any):
        groups = [{**group, "use_muon": matrices} for group, matrices in _apart(params, model, kernels=True)]
        super().__init__(groups, **options)


class AdaGO(Matrices, pytorch_optimizer.AdaGO):
    """Orthogonalized momentum with AdaGrad's step lengths for matrices and kernels, AdamW for all else (Zhang et al. 2025)."""


class AdaMuon(Matrices, pytorch_optimizer.AdaMuon):
    """Orthogonalized momentum with a second moment for matrices and kernels, AdamW for all else (Si et al. 2025)."""


class NorMuon(Matrices, pytorch_optimizer.NorMuon):
    """Orthogonalized momentum with each unit's update of a like size for matrices and kernels, AdamW for all else (2025)."""


class SpectralSphere(Optimizer):
    """Matrices kept on a sphere of the spectral norm; torch's AdamW for all else, kernels among it.

    Raises:
        ValueError: there is no weight with two dimensions that is no embedding.
    """

    def __init__(
        self,
        params: Iterable[Any],
        model: nn.Module | None = None,
        lr: float = 3e-4,
        momentum: float = 0.9,
        weight_decay: float = 1e-2,
        weight_decouple: bool = True,
        nesterov: bool = True,
        power_iteration_steps: int = 10,
        msign_steps: int = 5,
        solver_tolerance_f: float = 1e-8,
        solver_max_iterations: int = 100,
        adamw_lr: float = 3e-4,
        adamw_betas: tuple[float, float] = (0.9, 0.95),
        adamw_wd: float = 0.0,
        adamw_eps: float = 1e-10,
    ):
        groups = list(_apart(params, model, kernels=False))
        self._parts: list[Optimizer] = [
            pytorch_optimizer.SpectralSphere(
                [group for group, matrices in groups if matrices],
                lr=lr,
                momentum=momentum,
                weight_decay=weight_decay,
                weight_decouple=weight_decouple,
                nesterov=nesterov,
                power_iteration_steps=power_iteration_steps,
                msign_steps=msign_steps,
                solver_tolerance_f=solver_tolerance_f,
                solver_max_iterations=solver_max_iterations,
            )
        ]
        if others := [group for group, matrices in groups if not matrices]:
            self._parts.append(torch.optim.AdamW(others, lr=adamw_lr, betas=adamw_betas, weight_decay=adamw_wd, eps=adamw_eps))
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
            part.param_groups = [group for group in self.param_groups if ("betas" in group) == (part is not self._parts[0])]
            part.step()
        return loss

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_parts": self._parts}


class AdamMini(pytorch_optimizer.AdamMini):
    """Adam with one second moment for each tensor, or for each head where names are those of a Llama (Zhang et al. 2024).

    Raises:
        ValueError: it was given groups of weights; it makes its own.
    """

    def __init__(self, params: Iterable[Any], model: nn.Module, **options: Any):
        if any(isinstance(item, Mapping) for item in params):
            raise ValueError("it groups the weights itself, by their names: leave parameter_groups out")
        super().__init__(model, **options)


def _apart(params: Iterable[Any], model: nn.Module | None, kernels: bool) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield groups of weights, and whether they are matrices: those with two dimensions, or with `kernels` more, that are no
    embedding's.

    Raises:
        ValueError: there are no matrices.
    """
    modules = model.modules() if model is not None else ()
    embeddings = {id(module.weight) for module in modules if isinstance(module, (nn.Embedding, nn.EmbeddingBag))}

    def is_matrix(weight: Tensor) -> bool:
        return (weight.ndim == 2 or (kernels and weight.ndim > 2)) and id(weight) not in embeddings

    given = list(params)
    groups = [dict(group) for group in given] if given and isinstance(given[0], Mapping) else [{"params": given}]
    if not any(is_matrix(weight) for group in groups for weight in group["params"]):
        raise ValueError("it is for weights with two dimensions, and there are none to train here")
    for group in groups:
        for matrices in (True, False):
            if weights := [weight for weight in group["params"] if is_matrix(weight) is matrices]:
                yield {**group, "params": weights}, matrices
