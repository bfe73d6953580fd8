"""Where a number that isn't finite came from: which step, which batch, which layer first.

The batch of that step is put through the model again, layer by layer: the first layer in the order of the forward pass whose
weights or output are not finite is named. Dropout and what regularizers change in a batch draw other numbers then.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from weft.randomness import kept_randomness

if TYPE_CHECKING:
    from weft.state import Run


def diagnose(run: Run, step: int, loss: float) -> dict[str, Any]:
    """Return what is known of the step at which the loss became NaN or infinite, as JSON's types.

    `first` is a sentence's end; `weights`, `outputs` and `gradients` name every parameter and module that has a number that is
    not finite, in the order of the forward pass; `samples` are places in the training split, or in a batch that the run has
    made itself: none where that is gone, and then nothing is said of the outputs either. Epochs and batches are counted from 1,
    as steps are. `updates_since` says how many updates the weights have had since that step, when it was noticed late.
    """
    epoch, batch = position(run, step)
    samples, pair = run.data.batch(run, epoch, batch) or ([], None)
    found: dict[str, Any] = {
        "loss": str(loss),
        "step": step,
        "epoch": epoch + 1,
        "batch": batch + 1,
        "samples": samples,
        "updates_since": run.step - (step - 1),
    }
    bad_samples = _not_finite(pair[0]) if pair else []
    order, bad_outputs, replayed = _replay(run, *pair) if pair else ([name for name, _ in run.model.named_modules()], [], None)
    parameters = _in_order(run.model, order)
    weights = [name for name, parameter in parameters.items() if not _is_finite(parameter)]
    gradients = [name for name, p in parameters.items() if p.grad is not None and not _is_finite(p.grad)]
    found |= {
        "samples_not_finite": [sample for sample, bad in zip(samples, bad_samples, strict=True) if bad],
        "weights": weights,
        "outputs": [f"{name} ({type(run.model.get_submodule(name)).__name__})" for name in bad_outputs],
        "gradients": gradients,
        "loss_again": None if replayed is None else str(replayed),
    }
    first = _first(run, found, order, bad_outputs)
    return {**found, "first": first if pair else f"not known, for that batch is gone; by now {first}"}


def position(run: Run, step: int) -> tuple[int, int]:
    """Return the epoch of a step, and its batch within that, both counted from 0."""
    return divmod(step - 1, run.data.steps(run.configuration.settings.batch_size))


def _first(run: Run, found: dict[str, Any], order: list[str], bad_outputs: list[str]) -> str:
    model = run.model
    if found["samples_not_finite"]:
        return f"the inputs of {run.data.sample} {found['samples_not_finite'][0]}"
    for name in order:  # inner modules before those that hold them
        own = [f"{name}.{part}".lstrip(".") for part, _ in model.get_submodule(name).named_parameters(recurse=False)]
        if bad := [parameter for parameter in own if parameter in found["weights"]]:
            return f"the weights of {bad[0]}"
        if name in bad_outputs:
            return f"the output of {name or 'the model'} ({type(model.get_submodule(name)).__name__})"
    if found["weights"]:
        return f"the weights of {found['weights'][0]}"
    was_the_loss = found["loss_again"] is not None and not math.isfinite(float(found["loss_again"]))
    if found["gradients"] and not was_the_loss:
        return f"the gradient of {found['gradients'][0]}"
    sizes = {name: float(p.detach().abs().max()) for name, p in model.named_parameters() if p.numel()}
    largest = max(sizes, key=lambda name: sizes[name])
    where = "the loss itself, of outputs that are finite" if was_the_loss else "none yet"
    return f"{where}, but the weights of {largest} have grown to {sizes[largest]:.3g}"


def _in_order(model: nn.Module, order: list[str]) -> dict[str, nn.Parameter]:
    """Return the parameters by name: those of the modules in this order, then all that are left."""
    named = dict(model.named_parameters())
    first = [
        f"{name}.{part}".lstrip(".") for name in order for part, _ in model.get_submodule(name).named_parameters(recurse=False)
    ]
    return {name: named[name] for name in [*first, *named] if name in named}


def _replay(run: Run, inputs: Tensor, targets: Tensor) -> tuple[list[str], list[str], float | None]:
    """Put a batch through the model again, its buffers left as they are. Return the modules in the order in which they were
    done, those of them whose outputs are not finite, and the loss, or None where that failed."""
    order: list[str] = []
    bad: list[str] = []

    def note(name: str, output: Any) -> None:
        order.append(name)
        if not all(_is_finite(leaf) for leaf in _pytree.tree_leaves(output) if isinstance(leaf, Tensor)):
            bad.append(name)

    loss = None
    with _noted(run.model, note), kept_randomness(run.device.device), torch.no_grad(), run.device.autocast():
        buffers = {name: buffer.clone() for name, buffer in run.model.named_buffers()}
        with contextlib.suppress(Exception):  # a model that can't be called so is told of by its weights alone
            outputs = torch.func.functional_call(run.model, buffers, (inputs,))
            loss = float(run.loss(outputs, targets))
    return [*dict.fromkeys(order)], [*dict.fromkeys(bad)], loss


@contextlib.contextmanager
def _noted(model: nn.Module, note: Any) -> Iterator[None]:
    """Have `note(name, output)` called for every module while inside."""

    def hook(name: str) -> Any:
        return lambda module, arguments, output: note(name, output)

    handles = [module.register_forward_hook(hook(name)) for name, module in model.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_finite(tensor: Tensor) -> bool:
    return bool(tensor.detach().isfinite().all())


def _not_finite(inputs: Tensor) -> list[bool]:
    """Return of each sample whether it has a number that isn't finite."""
    return (~inputs.isfinite().reshape(len(inputs), -1).all(1)).tolist()
