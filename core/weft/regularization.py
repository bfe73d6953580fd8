"""The regularizers of a run, taken together: each of the five things one can do, done by all that do it, in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from weft.errors import ConfigError, PluginError

VERBS = ("attach", "batch", "penalty", "gradients", "weights")


class Regularizers:
    """Calls what each regularizer offers, and nothing for what it doesn't."""

    def __init__(self, parts: Mapping[str, Any]):
        self.parts = dict(parts)
        for name, part in self.parts.items():
            if not any(hasattr(part, verb) for verb in VERBS):
                raise PluginError(f"regularizer {name} has none of {', '.join(VERBS)}")
        self._batch = [part.batch for part in self.parts.values() if hasattr(part, "batch")]
        self._penalties = {f"penalty.{name}": part.penalty for name, part in self.parts.items() if hasattr(part, "penalty")}
        self._gradients = [part.gradients for part in self.parts.values() if hasattr(part, "gradients")]
        self._weights = [part.weights for part in self.parts.values() if hasattr(part, "weights")]

    def attach(self, model: nn.Module) -> None:
        """Let each change the model, before its first use.

        Raises:
            ConfigError: one refused the model with a ValueError.
        """
        for name, part in self.parts.items():
            if hasattr(part, "attach"):
                try:
                    part.attach(model)
                except ValueError as error:
                    raise ConfigError(f"regularizer={name}: {error}") from error

    def batch(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the batch as it is to be trained on."""
        for change in self._batch:
            inputs, targets = change(inputs, targets)
        return inputs, targets

    def penalties(self, model: nn.Module, outputs: Tensor) -> dict[str, Tensor]:
        """Return the scalars to be minimised beside the loss, by the name they are logged under."""
        return {name: penalty(model, outputs) for name, penalty in self._penalties.items()}

    def gradients(self, model: nn.Module) -> None:
        """Change the gradients."""
        for change in self._gradients:
            change(model)

    def weights(self, model: nn.Module) -> None:
        """Change the weights, after the optimizer did."""
        for change in self._weights:
            change(model)
