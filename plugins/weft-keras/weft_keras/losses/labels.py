"""Keras's losses of labels."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft import Range
from weft_keras.backend import computing, keras_on_torch

Smoothing = Annotated[float, Range(0, 1), "share of a target that goes to all classes alike"]
Focus = Annotated[float, Range(0, 10), "how much less what is told well counts"]
Balance = Annotated[float, Range(0, 1), "weight of the class itself"]


class OfLabels(nn.Module):
    """A mean over all places that have a label, each one's loss times the weight of its label's class.

    Outputs (N, C), targets (N,); or (N, length, C) and (N, length), where a label below zero is none. Class weights are Keras's
    too: they multiply, and the mean is over places.

    Raises:
        ValueError: Keras can't be had with torch.
    """

    tasks = ("classification", "sequence_labelling", "language_modelling")
    class_weights: Tensor | None

    def __init__(self, class_weights: Tensor | None = None):
        super().__init__()
        keras_on_torch()
        self.register_buffer("class_weights", class_weights, persistent=False)

    def batch_weight(self, targets: Tensor) -> Tensor | int:
        """Return the number of places that have a label, which the mean is over."""
        return len(targets) if targets.is_floating_point() or targets.ndim == 1 else (targets >= 0).sum()

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        scores = outputs.flatten(0, -2)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if targets.is_floating_point():  # probabilities, as the regularizer label_smoothing makes them
            with computing(scores.device, scores.dtype):
                return self.losses(scores, targets.to(scores.dtype)).mean()
        places = targets.flatten()
        missing = places < 0
        labels = places.masked_fill(missing, 0)
        with computing(scores.device, scores.dtype):
            losses = self.of_labels(scores, labels)
        if self.class_weights is not None:
            losses = losses * self.class_weights[labels]
        return losses.masked_fill(missing, 0).sum() / self.batch_weight(targets)

    def of_labels(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each place (M,) from its scores (M, C) and its label (M,)."""
        return self.losses(scores, functional.one_hot(labels, scores.shape[-1]).to(scores.dtype))

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each place (M,) from its scores (M, C) and its target as probabilities of the classes (M, C)."""
        raise NotImplementedError


class SparseCategoricalCrossentropy(OfLabels):
    """Keras's cross entropy of the softmax of the scores, from labels: the mean of -log softmax(y)[t], in nats."""

    def of_labels(self, scores: Tensor, labels: Tensor) -> Tensor:
        found: Tensor = keras_on_torch().losses.sparse_categorical_crossentropy(labels, scores, from_logits=True)
        return found


class OfProbabilities(OfLabels):
    """One that takes probabilities (N, C) as well: those of a regularizer that smooths labels."""

    def __init__(self, outputs: int, class_weights: Tensor | None = None, label_smoothing: Smoothing = 0.0):
        super().__init__(class_weights)
        self.outputs = outputs
        self.label_smoothing = label_smoothing


class CategoricalCrossentropy(OfProbabilities):
    """Keras's cross entropy of the softmax of the scores, from labels as one-hot vectors: -sum t · log softmax(y), in nats."""

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        function = keras_on_torch().losses.categorical_crossentropy
        found: Tensor = function(targets, scores, from_logits=True, label_smoothing=self.label_smoothing)
        return found


class CategoricalFocalCrossentropy(OfProbabilities):
    """Keras's focal loss of the softmax p of the scores: alpha · (1 - p)^gamma · the cross entropy.

    Lin et al., "Focal loss for dense object detection", 2017.
    """

    def __init__(
        self,
        outputs: int,
        class_weights: Tensor | None = None,
        label_smoothing: Smoothing = 0.0,
        alpha: Balance = 0.25,
        gamma: Focus = 2.0,
    ):
        super().__init__(outputs, class_weights, label_smoothing)
        self.options = {"alpha": alpha, "gamma": gamma}

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        function = keras_on_torch().losses.categorical_focal_crossentropy
        found: Tensor = function(targets, scores, from_logits=True, label_smoothing=self.label_smoothing, **self.options)
        return found


class BinaryCrossentropy(OfProbabilities):
    """Keras's binary cross entropy, each class against the rest: the mean over classes of what its sigmoid lacks, in nats."""

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        function = keras_on_torch().losses.binary_crossentropy
        found: Tensor = function(targets, scores, from_logits=True, label_smoothing=self.label_smoothing)
        return found


class BinaryFocalCrossentropy(OfProbabilities):
    """Keras's binary focal loss, each class against the rest: the binary cross entropy times (1 - p)^gamma.

    With `apply_class_balancing` a class's own targets count by alpha, those of the rest by 1 - alpha.
    """

    def __init__(
        self,
        outputs: int,
        class_weights: Tensor | None = None,
        label_smoothing: Smoothing = 0.0,
        apply_class_balancing: bool = False,
        alpha: Balance = 0.25,
        gamma: Focus = 2.0,
    ):
        super().__init__(outputs, class_weights, label_smoothing)
        self.options = {"apply_class_balancing": apply_class_balancing, "alpha": alpha, "gamma": gamma}

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        function = keras_on_torch().losses.binary_focal_crossentropy
        found: Tensor = function(targets, scores, from_logits=True, label_smoothing=self.label_smoothing, **self.options)
        return found


class KLDivergence(OfProbabilities):
    """Keras's Kullback-Leibler divergence from the softmax of the scores to the targets, with both kept above epsilon."""

    def __init__(self, outputs: int, class_weights: Tensor | None = None):
        super().__init__(outputs, class_weights)

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        found: Tensor = keras_on_torch().losses.kl_divergence(targets, scores.softmax(-1))
        return found


class Hinge(OfLabels):
    """Keras's hinge loss, each class against the rest: the mean of max(0, 1 - s · y), with s 1 for the label, else -1."""

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        return _signed("hinge", scores, targets)


class SquaredHinge(OfLabels):
    """Keras's squared hinge loss, each class against the rest: the mean over classes of max(0, 1 - s · y)²."""

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        return _signed("squared_hinge", scores, targets)


class CategoricalHinge(OfLabels):
    """Keras's categorical hinge loss: what the right score lacks to win over the best other, 0 at least, by 1.

    max(0, max(max over i ≠ t of y[i], 0) - y[t] + 1), as Keras computes it.
    """

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        found: Tensor = keras_on_torch().losses.categorical_hinge(targets, scores)
        return found


def _signed(name: str, scores: Tensor, targets: Tensor) -> Tensor:
    function: Any = getattr(keras_on_torch().losses, name)
    found: Tensor = function(2 * targets - 1, scores)
    return found
