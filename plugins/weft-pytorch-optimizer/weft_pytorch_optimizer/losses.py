"""The library's losses for weft's classification: outputs (N, C) are scores of C classes, targets (N,) labels from 0 to C - 1.

Those that are for yes or no are taken of each class against the rest. Those that compare the samples of a batch with each
other, as overlaps of areas do, say so.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import pytorch_optimizer
import torch
from torch import Tensor, nn
from torch.nn import functional

from weft import Range

_TASKS = ("classification",)


class OneAgainstTheRest(nn.Module):
    """What a loss for yes or no is mixed with: it is given, for each class, whether a sample is of it.

    `probabilities` says that it wants sigmoids of scores, `channel` that it wants a dimension more. It works
    in single precision at least: in half precision a probability is soon one, and the logarithm of what it lacks no number.
    """

    tasks = _TASKS
    probabilities = False
    channel = False

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a batch."""
        with torch.autocast(outputs.device.type, enabled=False):
            scores = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
            truths = functional.one_hot(targets, outputs.shape[1]).to(scores.dtype)
            given = scores.sigmoid() if self.probabilities else scores
            loss: Tensor = super().forward(*((given[:, None], truths[:, None]) if self.channel else (given, truths)))
        return loss


class BCELoss(OneAgainstTheRest, pytorch_optimizer.BCELoss):
    """Binary cross entropy of each class against the rest, with labels smoothed in training."""

    probabilities = True


class BCEFocalLoss(OneAgainstTheRest, pytorch_optimizer.BCEFocalLoss):
    """Focal loss of each class against the rest, with alpha as the weight of a class's own samples (Lin et al. 2017)."""

    probabilities = True


class FocalLoss(OneAgainstTheRest, pytorch_optimizer.FocalLoss):
    """Focal loss of each class against the rest, with what is answered well already taken back (Lin et al. 2017)."""


class SoftF1Loss(OneAgainstTheRest, pytorch_optimizer.SoftF1Loss):
    """One less the F-score of a batch's probabilities, all classes together."""

    probabilities = True
    compares_samples = True
    cannot: ClassVar = {"gradients": "the library sums in float32 whatever the precision"}


class TverskyLoss(OneAgainstTheRest, pytorch_optimizer.TverskyLoss):
    """One less the overlap of a batch's probabilities with the truth, false alarms and misses weighted (Salehi et al. 2017)."""

    compares_samples = True


class FocalTverskyLoss(OneAgainstTheRest, pytorch_optimizer.FocalTverskyLoss):
    """A power of the Tversky loss (Abraham and Khan 2019)."""

    compares_samples = True


class LovaszHingeLoss(OneAgainstTheRest, pytorch_optimizer.LovaszHingeLoss):
    """Hinge loss of each class against the rest, by the Lovász extension of a sample's Jaccard index (Berman et al. 2018)."""


class BinaryBiTemperedLogisticLoss(OneAgainstTheRest, pytorch_optimizer.BinaryBiTemperedLogisticLoss):
    """Bounded logistic loss with heavy tails of each class against the rest, for noisy labels (Amid et al. 2019)."""

    channel = True

    def __init__(
        self,
        t1: Annotated[float, Range(0.01, 1), "below 1: the loss is bounded"] = 0.8,
        t2: Annotated[float, Range(1, 10), "above 1: the tails are heavy"] = 1.2,
        label_smooth: Annotated[float, Range(0, 0.5), "share of a label that the other has"] = 0.0,
    ):
        super().__init__(t1, t2, label_smooth)


class BiTemperedLogisticLoss(pytorch_optimizer.BiTemperedLogisticLoss):
    """Bounded logistic loss with a heavy-tailed softmax, for noisy labels (Amid et al. 2019)."""

    tasks = _TASKS

    def __init__(
        self,
        t1: Annotated[float, Range(0.01, 1), "below 1: the loss is bounded"] = 0.8,
        t2: Annotated[float, Range(1, 10), "above 1: the tails are heavy"] = 1.2,
        label_smooth: Annotated[float, Range(0, 0.5), "share of a label that all others have"] = 0.0,
    ):
        super().__init__(t1, t2, label_smooth)


class FocalCosineLoss(pytorch_optimizer.FocalCosineLoss):
    """Cosine distance of the scores from the label's axis, and a share of focal loss."""

    tasks = _TASKS


class DiceLoss(pytorch_optimizer.DiceLoss):
    """One less twice the overlap of probabilities and labels over their sum, of each class (Milletari et al. 2016)."""

    tasks = _TASKS
    compares_samples = True


class JaccardLoss(pytorch_optimizer.JaccardLoss):
    """One less the overlap of probabilities and labels over their union, of each class in a batch."""

    tasks = _TASKS
    compares_samples = True


class LDAMLoss(pytorch_optimizer.LDAMLoss):
    """Cross entropy with margins that are the larger the rarer a class (Cao et al., "LDAM", 2019).

    Raises:
        ValueError: num_class_list hasn't one number above zero for each class.
    """

    tasks = _TASKS

    def __init__(
        self,
        outputs: int,
        num_class_list: Annotated[list[int], Range(1, 1_000_000_000), "training samples of each class"],
        max_m: Annotated[float, Range(0.01, 10, log=True), "largest margin"] = 0.5,
        s: Annotated[float, Range(0.1, 1000, log=True), "factor of the scores"] = 30.0,
        class_weights: Tensor | None = None,
    ):
        if len(num_class_list) != outputs:
            raise ValueError(f"num_class_list has {len(num_class_list)} numbers, and there are {outputs} classes")
        super().__init__(num_class_list, max_m, class_weights, s)

    def batch_weight(self, targets: Tensor) -> float:
        """Return what a batch counts for: its samples, by their class weights where there are any."""
        return float(len(targets)) if self.weight is None else float(self.weight[targets].sum())
