"""What a dataset asks for: the loss, metrics and objective that follow from it, and what its targets may be."""

from torch import Tensor


class Classification:
    """Each sample is one of several classes: targets are their numbers, int64, of shape (samples,)."""

    loss = "cross_entropy"
    metrics = ("accuracy",)
    objective = "valid/loss"

    def check(self, outputs: int, targets: Tensor) -> None:
        """Raise ValueError for targets that aren't numbers of classes, from 0 to `outputs` - 1."""
        if targets.is_floating_point() or targets.dim() != 1:
            raise ValueError(f"targets of a classification are whole numbers of shape [samples], not {_shown(targets)}")
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= outputs:
            raise ValueError(
                f"label {low if low < 0 else high} is out of range: there are {outputs} classes, 0 to {outputs - 1}"
            )


class Regression:
    """Each sample has one or several numbers: targets of shape (samples, outputs)."""

    loss = "mse"
    metrics = ("mae", "r2")
    objective = "valid/loss"

    def check(self, outputs: int, targets: Tensor) -> None:
        """Raise ValueError for targets of another shape, or that aren't finite."""
        if not targets.is_floating_point() or targets.shape[1:] != (outputs,):
            raise ValueError(f"targets of a regression are numbers of shape [samples, {outputs}], not {_shown(targets)}")
        if not bool(targets.isfinite().all()):
            raise ValueError("a target is not finite")


def _shown(targets: Tensor) -> str:
    return f"{str(targets.dtype).removeprefix('torch.')} of shape {list(targets.shape)}"
