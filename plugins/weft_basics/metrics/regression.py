"""Metrics of regression: outputs and targets of shape (batch, numbers), each number weighing the same."""

from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, R2Score

_TASKS = ("regression",)


class MSE(MeanSquaredError):
    """Mean squared error."""

    tasks = _TASKS

    def __init__(self) -> None:
        super().__init__()


class RMSE(MeanSquaredError):
    """Root of the mean squared error."""

    tasks = _TASKS

    def __init__(self) -> None:
        super().__init__(squared=False)


class MAE(MeanAbsoluteError):
    """Mean absolute error."""

    tasks = _TASKS

    def __init__(self) -> None:
        super().__init__()


class R2(R2Score):
    """Share of the targets' variance that the outputs explain; 1 is all of it, 0 what their mean would."""

    tasks = _TASKS

    def __init__(self) -> None:
        super().__init__()
