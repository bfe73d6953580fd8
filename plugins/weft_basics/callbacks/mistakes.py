"""How often the perceptron's rule had to correct a model."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from weft import Callback


class Mistakes(Callback):
    """Counts how often gradients had something to correct, and ends the run after an epoch that had nothing.

    With the loss perceptron and batch_size=1 these are the mistakes that Novikoff's theorem bounds ("On convergence proofs for
    perceptrons", 1962): at most (R / margin)², where a plane separates the samples. Recorded as `train/mistakes`, from the
    run's beginning, with every epoch. Nothing is to be corrected where all gradients are zero. An optimizer that computes them
    several times a step, as lbfgs, is counted as often.
    """

    def __init__(self) -> None:
        self.total: Tensor | int = 0
        self.before = 0

    def on_gradients(self, run: Any) -> None:
        """Count, without waiting for the device."""
        gradients = [parameter.grad for parameter in run.model.parameters() if parameter.grad is not None]
        self.total = self.total + sum(gradient.count_nonzero() for gradient in gradients).bool()

    def on_epoch_end(self, run: Any) -> None:
        """Record the count; stop when this epoch added nothing to it."""
        total = int(self.total)
        run.log({"train/mistakes": float(total)})
        run.stopping = run.stopping or total == self.before
        self.before = total

    def state_dict(self) -> dict[str, int]:
        return {"total": int(self.total), "before": self.before}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.total, self.before = state["total"], state["before"]
