"""Losses of classification: outputs (batch, classes), targets (batch,) of class numbers."""

from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional

from weft import Range

_TASKS = ("classification",)


class CrossEntropy(nn.CrossEntropyLoss):
    """Mean of -log softmax(outputs)[target]; targets may also be probabilities of shape (batch, classes)."""

    tasks = _TASKS

    def __init__(
        self,
        class_weights: Tensor | None = None,
        label_smoothing: Annotated[float, Range(0, 1), "share of the target given to all classes alike"] = 0.0,
    ):
        super().__init__(weight=class_weights, label_smoothing=label_smoothing)


class NLL(nn.NLLLoss):
    """Mean of -outputs[target], for a model whose outputs are logarithms of probabilities already."""

    tasks = _TASKS

    def __init__(self, class_weights: Tensor | None = None):
        super().__init__(weight=class_weights)


class Hinge(nn.Module):
    """The SVM's loss, of Crammer and Singer (2001): mean of max(0, margin + max other output - right output)."""

    tasks = _TASKS

    def __init__(
        self, class_weights: Tensor | None = None, margin: Annotated[float, Range(0, 1e6), "between right and wrong"] = 1.0
    ):
        super().__init__()
        self.register_buffer("class_weights", class_weights)
        self.margin = margin

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return _weighted(self._violations(outputs, targets), targets, self.class_weights)

    def _violations(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return by how much each sample falls short of the margin, of shape (batch,)."""
        right = functional.one_hot(targets, outputs.shape[1]).bool()
        wrong = outputs.masked_fill(right, float("-inf")).amax(1)
        return (self.margin + wrong - outputs.gather(1, targets[:, None]).squeeze(1)).clamp_min(0)


class SquaredHinge(Hinge):
    """The square of the hinge loss: it is smooth where the margin is just kept."""

    def _violations(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return super()._violations(outputs, targets).square()


def _weighted(losses: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
    """Return the mean, weighted by the classes of the targets as torch's cross entropy does."""
    if class_weights is None:
        return losses.mean()
    weights = class_weights[targets]
    return (losses * weights).sum() / weights.sum()
