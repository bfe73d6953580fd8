"""Optimizers that keep the moments of a matrix's gradients in fewer dimensions, projected to some `rank`.

The library projects only where a parameter group says so; here the options do. A rank that isn't below a matrix's sides leaves
nothing out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import pytorch_optimizer
from pytorch_optimizer.base.optimizer import BaseOptimizer


class Projected(BaseOptimizer):
    """What such an optimizer is mixed with: the projection as options."""

    def __init__(
        self,
        params: Iterable[Any],
        rank: int = 128,
        update_proj_gap: int = 200,
        scale: float = 0.25,
        projection_type: Literal["std", "reverse_std", "right", "left", "full"] = "std",
        **options: Any,
    ):
        projection = {"rank": rank, "update_proj_gap": update_proj_gap, "scale": scale, "projection_type": projection_type}
        super().__init__(params, **projection, **options)


class GaLore(Projected, pytorch_optimizer.GaLore):
    """AdamW on gradients that are projected to their largest singular directions (Zhao et al., "GaLore", 2024)."""


class Fira(Projected, pytorch_optimizer.Fira):
    """GaLore that also follows, scaled, what the projection leaves out (Chen et al., "Fira", 2024)."""


class APOLLO(Projected, pytorch_optimizer.APOLLO):
    """AdamW's step lengths from gradients that are projected at random, on the whole gradient (Zhu et al., "APOLLO", 2024)."""

    def __init__(
        self,
        params: Iterable[Any],
        rank: int = 256,
        update_proj_gap: int = 200,
        scale: float = 1.0,
        projection_type: Literal["std", "right", "left"] = "std",
        **options: Any,
    ):
        super().__init__(params, rank, update_proj_gap, scale, projection_type, **options)
