"""What is asked of a component of any kind."""

from __future__ import annotations

import inspect
import json
import math
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from weft import checkpoint, configuration, loop
from weft.callback import Callback
from weft.catalog import Component
from weft.errors import ConfigError, UserError
from weft.options import Option
from weft.randomness import seed_everything
from weft.state import Run
from weft.testing import quiet
from weft.testing.outcome import Cannot, Failure, Skip
from weft.testing.subject import Subject, differing, train, weights

_LARGE = 4  # times the default: an end of an integer's range that lies beyond is left to who has the memory
_STEPS = 3


def documented(subject: Subject) -> None:
    """It says what it is, in a sentence that a list has room for."""
    summary, factory = subject.component.summary, subject.loaded.factory
    of_its_base = factory.__doc__ is None and " ".join((inspect.getdoc(factory) or "").split()).startswith(summary)
    if not summary.strip() or of_its_base:
        raise Failure("it has no docstring of its own, and was registered without a summary")
    if len(summary) > 200:
        raise Failure(f"its docstring's first sentence has {len(summary)} characters; 200 are room enough")


def options(subject: Subject) -> None:
    """Its options are typed, and come back from a config and from the catalog's cache as they were."""
    component = subject.component
    kept = Component.load(json.loads(json.dumps(component.dump())), component.plugin)
    if kept != component:
        raise Failure(f"{kept} comes back from the cache as something else")
    part = subject.part()
    again = configuration.part(subject.kind, json.loads(json.dumps(part.tree())), subject.catalog)
    if again.options != part.options:
        raise Failure(f"its options {dict(part.options)} come back from a config as {dict(again.options)}")


def defaults(subject: Subject) -> None:
    """It builds from its defaults, and a run with it trains and is evaluated to finite numbers."""
    for name in subject.data:
        run = subject.run(name)
        train(run, _STEPS)
        scores = loop.evaluate(run, "valid")
        if not math.isfinite(scores["valid/loss"]):
            raise Failure(f"on {name}: the loss is {scores['valid/loss']} after {_STEPS} steps")
        bad = [key for key, tensor in weights(run).items() if tensor.is_floating_point() and not tensor.isfinite().all()]
        if bad:
            raise Failure(f"on {name}: {bad[0]} is not finite after {_STEPS} steps")


def ranges(subject: Subject) -> None:
    """Every value that its options declare to be good builds, one at a time."""
    for option in subject.component.options:
        for value in _values(option):
            try:
                train(subject.run(options={option.name: value}), 1)
            except ConfigError as error:
                others = [other.name for other in subject.component.options if other is not option]
                if not any(other in str(error).partition(": ")[2] for other in others):  # it has to do with another's value
                    raise Failure(f"{option.name}={value} is in its range, and refused: {error}") from error
            except UserError as error:
                raise Failure(f"{option.name}={value}: {error}") from error


def _values(option: Option) -> Iterator[Any]:
    """Yield values from an option's type: the ends of a range and its middle, each choice, both of a yes and no."""
    kind = option.type
    if kind.name == "literal":
        yield from kind.values
    elif kind.name == "bool":
        yield from (True, False)
    elif kind.name in ("int", "float") and kind.range is not None:
        low, high = kind.range.low, kind.range.high
        if kind.name == "int":
            known = option.default if isinstance(option.default, int) else 1
            high = min(high, max(_LARGE * known, low + 1))
        if math.isfinite(low):
            yield _number(kind.name, low)
        if math.isfinite(high):
            yield _number(kind.name, high)
        if math.isfinite(low) and math.isfinite(high):
            yield _number(kind.name, math.sqrt(low * high) if kind.range.log else (low + high) / 2)
    if kind.optional:
        yield None


def _number(kind: str, value: float) -> float:
    return int(value) if kind == "int" else float(value)


def considerate(subject: Subject) -> None:
    """It prints nothing, asks no network, writes no files, and leaves the process's settings alone."""
    subject.data  # noqa: B018 - what is imported and made for it once is no part of this
    with quiet.watched():
        run = subject.run()
        train(run, _STEPS)
        loop.evaluate(run, "valid")


def untouched(subject: Subject) -> None:
    """It leaves the data as it is: what it changes is a copy."""
    run = subject.run()
    before = {split: tuple(half.clone() for half in pair) for split, pair in run.data.splits.items()}
    run.data.training = lambda *_: iter([run.data.splits["train"]] * _STEPS)  # type: ignore[method-assign]
    train(run, _STEPS)
    loop.evaluate(run, "valid")
    for split, pair in run.data.splits.items():
        for half, kept, what in zip(pair, before[split], ("inputs", "targets"), strict=True):
            if not torch.equal(half, kept):
                raise Failure(f"{what} of {split} have been changed in their place")


def repeatable(subject: Subject) -> None:
    """The same seed gives the same weights and scores, bit by bit, whatever else the process has drawn."""
    found = []
    for ambient in (1, 2):
        seed_everything(ambient)
        run = subject.run()
        train(run, _STEPS)
        found.append((weights(run), loop.evaluate(run, "valid")))
    if names := differing(found[0][0], found[1][0]):
        raise Failure(f"the same run twice differs in {', '.join(names[:3])}")
    if repr(found[0][1]) != repr(found[1][1]):
        raise Failure(f"the same run twice has the scores {found[0][1]} and {found[1][1]}")


class _Kept(Callback):
    """Writes a checkpoint after two steps, of a run that doesn't stop for it."""

    def __init__(self, path: Path):
        self.path = path

    def on_step_end(self, run: Run) -> None:
        if run.step == 2:
            try:
                checkpoint.write(self.path, run.state_dict())
            except TypeError as error:
                raise Failure(f"its state can't be kept: {error}") from error


def resumes(subject: Subject) -> None:
    """A run that is interrupted goes on from its checkpoint exactly as it would have."""
    whole = subject.run()
    with tempfile.TemporaryDirectory(prefix="weft-check-") as folder:
        kept = _Kept(Path(folder) / "checkpoint")
        whole.listen(kept)
        whole.notify("on_fit_start")
        train(whole, 4)
        state = checkpoint.read(kept.path)
    seed_everything(99)
    resumed = subject.run()
    resumed.notify("on_fit_start")
    resumed.load_state_dict(state)
    train(resumed, 2)
    if names := differing(weights(whole), weights(resumed)):
        raise Failure(f"after going on from a checkpoint these differ: {', '.join(names[:3])}")


def precision(subject: Subject, name: str) -> None:
    """Train in a precision; the weights stay finite.

    Raises:
        Cannot: they don't, or it refuses.
    """
    try:
        run = subject.run(precision=name)
        train(run, 2)
    except (UserError, RuntimeError, NotImplementedError) as error:
        raise Cannot(_first_line(error)) from error
    if not all(tensor.isfinite().all() for tensor in run.model.state_dict().values() if tensor.is_floating_point()):
        raise Cannot("weights that are not finite, after two steps")


def fp64(subject: Subject) -> None:
    """It works in float64."""
    precision(subject, "fp64")


def bf16(subject: Subject) -> None:
    """It works under autocast in bfloat16."""
    precision(subject, "bf16")


def fp16(subject: Subject) -> None:
    """It works under autocast in float16, with the loss scaled."""
    precision(subject, "fp16")


def cuda(subject: Subject) -> None:
    """It works on a GPU, from the same seed to nearly the same loss as on the CPU."""
    if not torch.cuda.is_available():
        raise Skip("no CUDA device")
    losses = []
    for device in ("cpu", "cuda"):
        run = subject.run(device=device)
        train(run, _STEPS)
        losses.append(loop.evaluate(run, "valid")["valid/loss"])
    if not math.isclose(*losses, rel_tol=0.2, abs_tol=0.05):
        raise Failure(f"a loss of {losses[1]:.4f} on the GPU, and {losses[0]:.4f} on the CPU")


def compiled(function: Any, *arguments: Any) -> None:
    """Compile a function whole, and hold what it gives against what it gave before.

    Raises:
        Cannot: its graph breaks, or it gives something else.
    """
    expected = function(*arguments)
    torch._dynamo.reset()
    try:
        found = torch.compile(function, backend="aot_eager", fullgraph=True)(*arguments)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise Cannot(_first_line(error)) from error
    finally:
        torch._dynamo.reset()
    if apart := apart_by(found, expected, rtol=1e-4, atol=1e-5):
        raise Cannot(f"compiled it gives something else, by up to {apart:.2g}")


def together(function: Any, expected: Any, *lanes: Any) -> None:
    """Run a function on several lanes as one, by vmap, and hold what it gives against what is `expected` of each.

    Raises:
        Cannot: it doesn't run so, or gives something else.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is slow
        try:
            found = torch.func.vmap(function)(*lanes)
        except Exception as error:
            raise Cannot(_first_line(error)) from error
    if apart := apart_by(found, expected, rtol=1e-3, atol=1e-4):
        raise Cannot(f"together they are other than each, by up to {apart:.2g}")


def apart_by(found: Any, expected: Any, rtol: float, atol: float) -> float:
    """Return the largest difference of two outputs, each a tensor or several; 0 where they are as near as that."""
    pairs = [*zip(tree_leaves(found), tree_leaves(expected), strict=True)]
    if all(torch.allclose(one, other, rtol=rtol, atol=atol) for one, other in pairs):
        return 0.0
    return max(float((one - other).abs().max()) for one, other in pairs)


def gradchecked(function: Any, *arguments: Any) -> None:
    """Hold gradients against differences, in float64.

    Raises:
        Failure: they are others.
    """
    try:
        torch.autograd.gradcheck(function, arguments, fast_mode=True, nondet_tol=1e-10)
    except Exception as error:
        raise Failure(f"its gradients are not those of what it computes: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
