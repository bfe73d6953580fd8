"""Where and how the arithmetic is done: device, precision, threads, accumulation, compilation.

The loop calls `split`, `autocast`, `backward`, `unscale` and `step` and knows nothing of what is behind them.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from weft.errors import ConfigError
from weft.settings import Settings

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_SMALL = 1_000_000
"""Weights below which one CPU thread is the faster choice: two took five times as long on an MLP of ten thousand."""

Piece = tuple[Tensor, Tensor, Tensor | None, bool]
"""Inputs, targets, share of the batch (None when it is all of it), and whether it is the last."""


def find(name: str) -> torch.device:
    """Return the device of that name; `auto` is the first accelerator there is, else the CPU.

    Raises:
        ConfigError: it isn't there; says what is.
    """
    there = ["cpu"]
    if torch.cuda.is_available():
        there += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        there.append("mps")
    if name == "auto":
        return torch.device(next((device for device in ("cuda", "mps") if device in there), "cpu"))
    if name not in there:
        raise ConfigError(f"device: {name!r} isn't there; there are {', '.join(there)}")
    return torch.device(name)


class Device:
    """One run's way of computing. Make it before the model, `adopt` the model, and train inside `session`."""

    def __init__(self, settings: Settings):
        self.device = find(settings.device)
        self.precision = settings.precision
        if self.precision == "fp64" and self.device.type == "mps":
            raise ConfigError("precision: 'fp64' isn't there on mps; there are fp32, bf16, fp16")
        self.dtype = torch.float64 if self.precision == "fp64" else torch.float32
        self.threads = settings.threads
        self._accumulate = settings.accumulate
        self._compile = settings.compile
        self._deterministic = settings.deterministic
        self._autocast: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        if self.precision in _AUTOCAST:
            self._autocast = torch.autocast(self.device.type, _AUTOCAST[self.precision])
        self._scaler: torch.amp.GradScaler | None = None
        if self.precision == "fp16":
            self._scaler = torch.amp.GradScaler(self.device.type)

    def place(self, tensor: Tensor) -> Tensor:
        """Return the tensor on this device, numbers with a fraction in this precision."""
        return tensor.to(self.device, self.dtype if tensor.is_floating_point() else None)

    def adopt(self, model: nn.Module) -> nn.Module:
        """Move the model here."""
        return model.to(self.device, self.dtype)

    def share_threads(self, model: nn.Module) -> None:
        """Decide on the number of threads by the model's size, when it was left open."""
        if self.threads is None:
            small = sum(parameter.numel() for parameter in model.parameters()) < _SMALL
            self.threads = 1 if small and self.device.type == "cpu" else torch.get_num_threads()

    def wrap(self, model: nn.Module) -> Callable[..., Tensor]:
        """Return what is called in the place of the model: compiled where that was asked for."""
        return torch.compile(model) if self._compile else model

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Set the process's threads and determinism, and put them back."""
        threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        warned = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.set_num_threads(self.threads or threads)
        if self._deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic, warn_only=warned)

    def check(self, optimizer: Any, name: str) -> None:
        """Refuse a pair that can't work.

        Raises:
            ConfigError: loss scaling with an optimizer that evaluates the loss itself.
        """
        closure = inspect.signature(optimizer.step).parameters.get("closure")
        if self._scaler and closure is not None and closure.default is closure.empty:
            raise ConfigError(
                f"precision: fp16 scales the loss once a step, and optimizer {name} evaluates it several times; "
                "use bf16 or fp32, or another optimizer"
            )

    def split(self, inputs: Tensor, targets: Tensor, weigh: Callable[[Tensor], float]) -> Iterator[Piece]:
        """Yield the pieces that a batch is worked on in, each with its share of the batch's weight."""
        if self._accumulate == 1:
            yield inputs, targets, None, True
            return
        whole, count = weigh(targets), len(targets)
        size = -(-count // self._accumulate)
        for start in range(0, count, size):
            piece = targets[start : start + size]
            share = torch.tensor(weigh(piece) / whole, dtype=torch.float64, device="cpu")
            yield inputs[start : start + size], piece, share, start + size >= count

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context that the forward pass runs in."""
        return self._autocast

    def backward(self, terms: Mapping[str, Tensor], share: Tensor | None, done: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Add the gradients of a piece's terms to `.grad`, the loss by its share. Return the terms detached, the loss together
        with that of the pieces `done` before."""
        loss = terms["loss"]
        weight = None if share is None else share.to(loss.device, loss.dtype)
        roots = list(terms.values())
        if self._scaler:
            roots = [self._scaler.scale(root) for root in roots]
        torch.autograd.backward(roots, [weight, *[None] * (len(roots) - 1)])
        found = {name: term.detach() for name, term in terms.items()}
        if weight is not None:
            found["loss"] = found["loss"] * weight + (done["loss"] if done else 0.0)
        return found

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Return the sum of the terms: what is minimised."""
        return torch.stack([*terms.values()]).sum() if len(terms) > 1 else terms["loss"]

    def unscale(self, optimizer: Any) -> None:
        """Divide the gradients by the scale, where there is one."""
        if self._scaler:
            self._scaler.unscale_(optimizer)

    def step(self, optimizer: Any, closure: Callable[[], Tensor]) -> None:
        """Update the weights by the gradients that `closure` computes."""
        if self._scaler is None:
            optimizer.step(closure)
        else:
            closure()
            self._scaler.step(optimizer)
            self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the loss scaling."""
        return self._scaler.state_dict() if self._scaler else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        if self._scaler:
            self._scaler.load_state_dict(state)
