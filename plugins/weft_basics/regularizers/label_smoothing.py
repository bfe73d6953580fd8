"""Label smoothing, as a change of the targets."""

from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import functional

from weft import Range


class LabelSmoothing:
    """Gives a share of each target to all classes alike (Szegedy et al. 2016), in training alone: the validation loss stays
    the plain one.

    Raises:
        ValueError: the loss knows no soft targets, or smooths them itself already.
    """

    tasks = ("classification",)

    def __init__(self, loss: Any, outputs: int, amount: Annotated[float, Range(0, 1), "share given away"] = 0.1):
        own = getattr(loss, "label_smoothing", None)
        if own is None:
            raise ValueError(f"{type(loss).__name__} takes no soft targets; cross_entropy does")
        if own:
            raise ValueError(f"the loss smooths its labels itself already (loss.label_smoothing={own}); turn one of them off")
        self.amount = amount
        self._classes = outputs

    def batch(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs, and targets as probabilities of shape (batch, classes)."""
        number = inputs.dtype if inputs.is_floating_point() else torch.get_default_dtype()
        hard = functional.one_hot(targets, self._classes).to(number)
        return inputs, hard * (1 - self.amount) + self.amount / self._classes
