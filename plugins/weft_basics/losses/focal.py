"""The focal loss."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from weft import Range
from weft_basics.losses.labels import OfLabels


class Focal(OfLabels):
    """Focal loss: the cross entropy with what is answered well already taken back, the mean of -(1 - p)^gamma · log p.

    Outputs (N, C), targets (N,); or (N, length, C) and (N, length), where IGNORED is no label. p is softmax(y)[t]; for two
    classes that is the paper's sigmoid of the scores' difference. Each loss is multiplied by its label's class weight (the
    paper's alpha). Lin et al., "Focal loss for dense object detection", 2017.
    """

    def __init__(
        self,
        class_weights: Tensor | None = None,
        gamma: Annotated[float, Range(0, 10), "how much less a good answer counts; 0 is the cross entropy"] = 2.0,
    ):
        super().__init__(class_weights)
        self.gamma = gamma

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        # log(1 - p) from the other classes, since 1 - p itself is 0 soon, where a power below 1 has no gradient.
        others = outputs.scatter(1, labels.unsqueeze(1), -torch.inf).logsumexp(1) - outputs.logsumexp(1)
        return (self.gamma * others).exp() * functional.cross_entropy(outputs, labels, reduction="none")
