"""The sine."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from weft import Range


def sine(
    input: Tensor, frequency: Annotated[float, Range(1e-2, 1e3, log=True), "of the sine, in radians a unit"] = 1.0
) -> Tensor:
    """sin(frequency · x), for functions and their derivatives (SIREN, Sitzmann et al., 2020).

    The paper's own frequency is 30, with hidden weights that start smaller by as much.
    """
    return torch.sin(frequency * input)
