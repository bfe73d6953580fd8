"""The confidence penalty."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional

from weft import Range


class ConfidencePenalty:
    """Strength times minus the mean entropy of the answers: being sure has a price.

    Outputs (N, C) are scores of classes. Pereyra et al., "Regularizing neural networks by penalizing confident output
    distributions", 2017.
    """

    tasks = ("classification",)

    def __init__(self, weight: Annotated[float, Range(0, 10), "strength of the penalty"] = 0.1):
        self.weight = weight

    def penalty(self, model: nn.Module, outputs: Tensor) -> Tensor:
        """Return a scalar, from -weight · log C, where all classes are as probable, to 0."""
        logarithms = functional.log_softmax(outputs, dim=1)
        return self.weight * (logarithms.exp() * logarithms).sum(1).mean()
