"""Dropout for any model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from weft import Range, UserError


def weighted_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules without children that have a weight of two dimensions or more, by name, in their order."""
    return {
        name: module
        for name, module in model.named_modules()
        if not [*module.children()] and any(parameter.ndim >= 2 for parameter in module.parameters(recurse=False))
    }


class Dropout:
    """In training, each number that enters a weighted layer after the first is zero with probability p, else divided by 1 - p.

    The layers are those of `weighted_layers`, in the order that the model names them; the model's own code stays as it is.
    Embeddings are passed over: what enters them are tokens. Srivastava et al., "Dropout: a simple way to prevent neural
    networks from overfitting", 2014.

    Raises:
        ValueError: the model has no weighted layer after its first.
        UserError: after the first step, when a layer was never called as a module, so that nothing was dropped.
    """

    def __init__(self, model: nn.Module, p: Annotated[float, Range(0, 0.99), "share of numbers that are dropped"] = 0.5):
        self.p = p
        names = [*weighted_layers(model)]
        if not self._inner(model):
            has = f"has only {names[0] or 'itself'}" if names else "has none"
            raise ValueError(f"dropout acts on what enters the weighted layers after the first; {type(model).__name__} {has}")
        self.silent: set[str] = set()
        """The layers that have not been called yet."""

    def attach(self, model: nn.Module) -> None:
        """Put dropout before each weighted layer after the first."""
        for name, module in self._inner(model).items():
            self.silent.add(name)
            module.register_forward_pre_hook(self._dropping(name), with_kwargs=True)

    def weights(self, model: nn.Module) -> None:
        """Raise UserError when a layer has not been called by the end of the first step."""
        if self.silent:
            raise UserError(
                f"regularizer=dropout: {', '.join(sorted(self.silent))} of {type(model).__name__} never ran as a module, so "
                "nothing was dropped there: the model uses the weights by itself; let it call the module, or train without"
            )

    def _inner(self, model: nn.Module) -> dict[str, nn.Module]:
        later = [*weighted_layers(model).items()][1:]
        return {name: module for name, module in later if not isinstance(module, (nn.Embedding, nn.EmbeddingBag))}

    def _dropping(self, name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def drop(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
            self.silent.discard(name)
            if not module.training:
                return None
            if arguments:
                return (self._dropped(arguments[0]), *arguments[1:]), named
            first = next(iter(named))
            return arguments, {**named, first: self._dropped(named[first])}

        return drop

    def _dropped(self, entering: Any) -> Any:
        if isinstance(entering, PackedSequence):
            return entering._replace(data=functional.dropout(entering.data, self.p))
        kept: Tensor = functional.dropout(entering, self.p)
        return kept
