"""What is asked of models."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from weft import saved
from weft.testing.checks.every import apart_by, compiled, gradchecked, together
from weft.testing.outcome import Failure
from weft.testing.subject import Subject, train


def _inputs(subject: Subject, samples: int = 4) -> Tensor:
    found: Tensor = subject.run().data.splits["train"][0][:samples]
    return found


def modes(subject: Subject) -> None:
    """In evaluation mode it draws nothing, and train() and eval() reach all of its modules."""
    model, inputs = subject.run().model.eval(), _inputs(subject)
    with torch.no_grad():
        if apart_by(model(inputs), model(inputs), rtol=0, atol=0):
            raise Failure("in evaluation mode it gives two answers to the same inputs")
    for mode in (True, False):
        model.train(mode)
        if deaf := [name for name, module in model.named_modules() if module.training is not mode]:
            raise Failure(f"{deaf[0]}.training is not {mode} after {'train' if mode else 'eval'}()")


def apart(subject: Subject) -> None:
    """In evaluation mode a sample's answer doesn't depend on the others in its batch."""
    model, inputs = subject.run().model.eval(), _inputs(subject)
    with torch.no_grad():
        alone = tree_map(lambda *parts: torch.cat(parts), *(model(one.unsqueeze(0)) for one in inputs))
        if apart := apart_by(model(inputs), alone, rtol=1e-3, atol=1e-4):
            raise Failure(f"a sample alone and in a batch: answers differ by up to {apart:.2g}")


def taught(subject: Subject) -> None:
    """Every parameter has a gradient after a step."""
    run = subject.run()
    train(run, 1)
    idle = [name for name, parameter in run.model.named_parameters() if parameter.requires_grad and parameter.grad is None]
    if idle:
        raise Failure(f"{', '.join(idle[:3])}: no gradient reaches it")


def gradients(subject: Subject) -> None:
    """Its gradients, in float64 and in evaluation mode, are those of what it computes."""
    model = subject.run(precision="fp64").model.eval()
    inputs = _inputs(subject, 2)
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    values = [parameter.detach().clone().requires_grad_() for parameter in model.parameters() if parameter.requires_grad]

    def answers(*parameters: Tensor) -> tuple[Tensor, ...]:
        return tuple(tree_leaves(torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (inputs,))))

    for answer in answers(*values):
        if answer.dtype != torch.float64:
            raise Failure(f"in float64 it answers in {answer.dtype}")
    gradchecked(answers, *values)


def placed(subject: Subject) -> None:
    """All of its tensors are parameters or buffers, which move to a device and are saved with it."""
    for name, module in subject.run().model.named_modules():
        for attribute, value in vars(module).items():
            if isinstance(value, Tensor):
                where = f"{name}.{attribute}" if name else attribute
                raise Failure(f"{where} is a plain tensor, which stays behind when the model moves: register_buffer() it")


def kept(subject: Subject) -> None:
    """Saved without pickle and read again, it answers the same, bit by bit."""
    run = subject.run()
    train(run, 2)
    with tempfile.TemporaryDirectory(prefix="weft-check-") as folder:
        saved.write(Path(folder), run)
        again = saved.read(Path(folder), "last", subject.catalog)
    inputs = _inputs(subject)
    with torch.no_grad():
        if apart_by(run.model.eval()(inputs), again(inputs), rtol=0, atol=0):
            raise Failure("read again, it gives other answers")


def vmap(subject: Subject) -> None:
    """Several of it, that differ in their weights, run as one under torch.func.vmap."""
    first, second = (subject.run(seed=seed).model.eval() for seed in (0, 1))
    inputs = _inputs(subject)
    shell = copy.deepcopy(first).to("meta")

    def answer(parameters: dict[str, Any], buffers: dict[str, Any]) -> Any:
        return torch.func.functional_call(shell, (parameters, buffers), (inputs,))

    with torch.no_grad():
        expected = tree_map(lambda *parts: torch.stack(parts), first(inputs), second(inputs))
        together(answer, expected, *torch.func.stack_module_state([first, second]))


def compiles(subject: Subject) -> None:
    """torch.compile takes it whole, and it answers the same."""
    model = subject.run().model.eval()
    with torch.no_grad():
        compiled(model, _inputs(subject))


CHECKS: list[Callable[[Subject], None]] = [modes, apart, taught, gradients, placed, kept]
CAPABILITIES: list[Callable[[Subject], None]] = [vmap, compiles]
