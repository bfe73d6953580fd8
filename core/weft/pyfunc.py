"""A saved model as MLflow calls it. The MLmodel files of weft's models name this module: it stays where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from weft import saved


class Predictor:
    """A model on the CPU, in evaluation mode, that takes and gives arrays."""

    def __init__(self, model: nn.Module):
        self.model = model
        self._dtype = next((value.dtype for value in model.parameters() if value.is_floating_point()), torch.float32)

    @torch.no_grad()
    def predict(self, inputs: Any) -> np.ndarray[Any, Any]:
        """Return the model's outputs for a batch (samples, *shape of one): an array, a table or lists of numbers. Numbers with
        a fraction are taken in the model's own precision, whole ones, such as tokens, as they are. Of several outputs the
        first is returned.

        Raises:
            TypeError: the model gives something else than tensors.
        """
        batch = torch.tensor(np.ascontiguousarray(inputs))  # in another order of memory the last bits would differ
        outputs = self.model(batch.to(self._dtype) if batch.is_floating_point() else batch)
        if isinstance(outputs, tuple):
            outputs = outputs[0]
        if not isinstance(outputs, Tensor):
            raise TypeError(f"{type(self.model).__name__} gives a {type(outputs).__name__}; only tensors can be served")
        return outputs.numpy()


def _load_pyfunc(path: str) -> Predictor:
    """Read the model in a folder, with the weights it was tested with; MLflow asks for this name."""
    return Predictor(saved.read(Path(path)))
