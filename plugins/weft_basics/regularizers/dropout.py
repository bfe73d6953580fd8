"""Dropout, on a model that knows nothing of it."""

from collections.abc import Callable
from typing import Annotated, Any

from torch import Tensor, nn
from torch.nn import functional

from weft import Range, UserError


class Dropout:
    """In training, sets each input of every weighted layer but the first to zero with probability `p`, and scales the
    others by 1 / (1 - p) (Srivastava et al. 2014).

    A weighted layer is a module without children that has a parameter of two or more dimensions.

    Raises:
        ValueError: the model has no second weighted layer.
        UserError: after the first step, when a layer was never called as a module, so that its inputs were not dropped.
    """

    def __init__(self, p: Annotated[float, Range(0, 0.99), "share of inputs set to zero"] = 0.2):
        self.p = p
        self._waiting: set[str] | None = None

    def attach(self, model: nn.Module) -> None:
        """Put the hooks on the layers."""
        layers = [(name, module) for name, module in model.named_modules() if _is_weighted(module)]
        if len(layers) < 2:
            raise ValueError(
                f"drops the inputs of every weighted layer after the first, and this model has {len(layers)} of them"
            )
        self._waiting = {name for name, _ in layers[1:]}
        for name, module in layers[1:]:
            module.register_forward_pre_hook(self._dropping(name))

    def weights(self, model: nn.Module) -> None:
        """After a step: see that every hook has fired."""
        if self._waiting:
            missed = ", ".join(sorted(self._waiting))
            raise UserError(f"dropout: never reached {missed}: the model uses the weights without calling the layer")
        self._waiting = None

    def _dropping(self, name: str) -> Callable[..., Any]:
        def drop(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
            if self._waiting and module.training:
                self._waiting.discard(name)
            first, *rest = arguments
            if not isinstance(first, Tensor) or not first.is_floating_point():
                return arguments  # tokens, as an embedding takes them, can't be dropped
            return functional.dropout(first, self.p, module.training), *rest

        return drop


def _is_weighted(module: nn.Module) -> bool:
    alone = next(module.children(), None) is None
    return alone and any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))
