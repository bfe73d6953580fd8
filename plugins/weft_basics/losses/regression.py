"""Losses of regression: outputs and targets of one shape, (batch, numbers). They don't broadcast."""

from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional

from weft import Range

_TASKS = ("regression",)


class MSE(nn.Module):
    """Mean squared error: mean of (output - target)²."""

    tasks = _TASKS

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(*_alike(outputs, targets))


class MAE(nn.Module):
    """Mean absolute error: mean of |output - target|."""

    tasks = _TASKS

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.l1_loss(*_alike(outputs, targets))


class Huber(nn.Module):
    """Squared error up to `delta`, linear beyond it (Huber 1964): outliers pull less."""

    tasks = _TASKS

    def __init__(self, delta: Annotated[float, Range(1e-6, 1e6, log=True), "where it becomes linear"] = 1.0):
        super().__init__()
        self.delta = delta

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.huber_loss(*_alike(outputs, targets), delta=self.delta)


class SmoothL1(nn.Module):
    """The Huber loss over `beta`: |error| beyond `beta`, and its square over 2·beta below (Girshick 2015)."""

    tasks = _TASKS

    def __init__(self, beta: Annotated[float, Range(1e-6, 1e6, log=True), "where it becomes linear"] = 1.0):
        super().__init__()
        self.beta = beta

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.smooth_l1_loss(*_alike(outputs, targets), beta=self.beta)


def _alike(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return both, or raise ValueError: (n, 1) against (n,) would broadcast to (n, n), and train on nonsense."""
    if outputs.shape != targets.shape:
        raise ValueError(f"outputs of shape {list(outputs.shape)} and targets of shape {list(targets.shape)} differ")
    return outputs, targets
