"""What it costs a model to believe of its weights what it didn't beforehand."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from weft import Range
from weft_basics.outputs import answer


class WeightDivergence:
    """The Kullback-Leibler divergence of a model's weights from their prior, in nats for each sample that is trained on.

    With a loss that is a negative log-likelihood the sum is minus the evidence lower bound, for each sample, and of a
    regression for each of its numbers, which its losses are the mean over: variational inference (Hinton and van Camp 1993;
    Blundell et al., "Weight uncertainty in neural networks", 2015).

    Raises:
        ValueError: the model's weights are no distribution.
    """

    beside: ClassVar[dict[str, Any]] = {"model": {"name": "bayesian_linear"}}

    def __init__(
        self,
        model: nn.Module,
        samples: int,
        task: str,
        weight: Annotated[float, Range(0, 1000), "of the divergence; less than 1 is surer than the samples allow"] = 1.0,
    ):
        if not any(hasattr(module, "divergence") for module in model.modules()):
            raise ValueError(
                f"weight_divergence is for models whose weights are a distribution, such as bayesian_linear, and "
                f"{type(model).__name__}'s are not"
            )
        self.scale = weight / samples
        self.by_numbers = task == "regression"

    def penalty(self, model: nn.Module, outputs: Tensor) -> Tensor:
        """Return the divergence of all layers that have one, a scalar; of outputs (N, …) it looks at how many numbers a sample
        has."""
        layers: list[Any] = [module for module in model.modules() if hasattr(module, "divergence")]
        numbers = answer(outputs)[0].numel() if self.by_numbers else 1
        return self.scale / numbers * torch.stack([layer.divergence() for layer in layers]).sum()
