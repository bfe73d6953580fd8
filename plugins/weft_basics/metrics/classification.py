"""Metrics of classification: outputs (batch, classes), targets (batch,). Averages are over classes, each weighing the same."""

from typing import Annotated

from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassCalibrationError,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from weft import Range

_TASKS = ("classification",)


class Accuracy(MulticlassAccuracy):
    """Share of samples whose class was found."""

    tasks = _TASKS

    def __init__(self, outputs: int):
        super().__init__(outputs, average="micro")


class BalancedAccuracy(MulticlassAccuracy):
    """Mean over classes of the share that was found."""

    tasks = _TASKS

    def __init__(self, outputs: int):
        super().__init__(outputs, average="macro")


class F1(MulticlassF1Score):
    """Harmonic mean of precision and recall, averaged over classes."""

    tasks = _TASKS

    def __init__(self, outputs: int):
        super().__init__(outputs, average="macro")


class Precision(MulticlassPrecision):
    """Share of a class's findings that are right, averaged over classes."""

    tasks = _TASKS

    def __init__(self, outputs: int):
        super().__init__(outputs, average="macro")


class Recall(MulticlassRecall):
    """Share of a class's samples that were found, averaged over classes."""

    tasks = _TASKS

    def __init__(self, outputs: int):
        super().__init__(outputs, average="macro")


class AUROC(MulticlassAUROC):
    """Area under the ROC curve, one class against the others, averaged over classes."""

    tasks = _TASKS

    def __init__(self, outputs: int):
        super().__init__(outputs, average="macro")


class CalibrationError(MulticlassCalibrationError):
    """Mean distance of confidence from accuracy (Guo et al. 2017)."""

    tasks = _TASKS

    def __init__(self, outputs: int, bins: Annotated[int, Range(2, 1000), "of confidence"] = 15):
        super().__init__(outputs, n_bins=bins)
