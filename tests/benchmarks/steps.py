"""A training step with everything recorded, against a loop written by hand, and against Lightning with its MLflow logger.

Each round trains every contender once, one after the other, on digits with batches of 64 and one thread. A step's time is
that of the whole training, evaluation aside, over the number of steps: what is done at the end of an epoch is in it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from weft import destination, loop
from weft.catalog import catalog
from weft.compose import configured
from weft.execution import execute
from weft.experiment import prepare
from weft.folder import Folder
from weft.state import Run
from weft.telemetry.tracker import MemoryTracker

EPOCHS = {"mlp": 60, "cnn": 12}
TARGETS = {
    ("mlp", "weft / by hand"): 1.00,
    ("mlp", "weft / by hand, fused"): 1.15,
    ("cnn", "weft / by hand"): 1.00,
    ("cnn", "weft / by hand, fused"): 1.05,
    ("cnn", "gradients every step / none"): 1.05,
    ("mlp", "gradients and histograms by default / none"): 1.01,
    ("cnn", "gradients and histograms by default / none"): 1.01,
}


def prepared(model: str, scratch: Path, *overrides: str) -> Run:
    """Return a run of this model on digits, with defaults but for the optimizer and the folder. The store is named because
    Lightning's logger sets MLFLOW_TRACKING_URI for the whole process."""
    wanted, _ = configured(
        [
            f"model={model}",
            "optimizer=adam",
            f"epochs={EPOCHS[model]}",
            "threads=1",
            f"runs={scratch}",
            *overrides,
            f"tracking.uri=sqlite:///{scratch}/mlflow.db",
        ]
    )
    return prepare(wanted, catalog())


def by_hand(run: Run, fused: bool) -> float:
    """Train the run's model in a plain loop; return seconds a step."""
    optimizer = torch.optim.Adam(run.model.parameters(), fused=True) if fused else torch.optim.Adam(run.model.parameters())
    loss_function = nn.CrossEntropyLoss()
    inputs, targets = run.data.splits["train"]
    model, epochs, evaluating = run.model, EPOCHS[run.configuration.one("model").component.name], 0.0
    start = time.perf_counter()
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(inputs))
        for first in range(0, len(inputs), 64):
            chosen = order[first : first + 64]
            optimizer.zero_grad()
            loss = loss_function(model(inputs[chosen]), targets[chosen])
            loss.backward()
            optimizer.step()
        pause = time.perf_counter()
        model.eval()
        with torch.no_grad():
            outputs = model(run.data.splits["valid"][0])
            loss_function(outputs, run.data.splits["valid"][1]).item()
            (outputs.argmax(1) == run.data.splits["valid"][1]).float().mean().item()
        evaluating += time.perf_counter() - pause
    return (time.perf_counter() - start - evaluating) / (epochs * math.ceil(len(inputs) / 64))


def with_weft(run: Run, scratch: Path, index: int) -> float:
    """Execute the run as `weft run` does, MLflow and all; return seconds a step."""
    evaluating = [0.0]
    fit, evaluate = loop.fit, loop.evaluate
    spent = [0.0]

    def timed_evaluate(run: Run, split: str) -> dict[str, float]:
        start = time.perf_counter()
        found = evaluate(run, split)
        evaluating[0] += time.perf_counter() - start
        return found

    def timed_fit(run: Run) -> None:
        start = time.perf_counter()
        fit(run)
        spent[0] = time.perf_counter() - start - evaluating[0]

    loop.fit, loop.evaluate = timed_fit, timed_evaluate
    try:
        folder = Folder(scratch / f"run-{index}")
        tracker = destination.tracker(run.configuration.settings, folder)
        result = execute(run, folder, tracker)
    finally:
        loop.fit, loop.evaluate = fit, evaluate
    if result.error:
        raise result.error
    return spent[0] / run.step


def in_memory(run: Run, scratch: Path) -> float:
    """Fit the run with its values kept in a list, and what looks find in a file: what observing costs by itself. Return
    seconds a step."""
    run.observer.tracker = MemoryTracker()
    run.observer.keep_in(Path(tempfile.mkdtemp(dir=scratch)))
    with run.device.session():
        start = time.perf_counter()
        loop.fit(run)
        return (time.perf_counter() - start) / run.step


def with_lightning(run: Run, scratch: Path) -> float:
    """Train the same model in Lightning, logging the loss to MLflow as it does by default; return seconds a step."""
    import lightning
    from lightning.pytorch.loggers import MLFlowLogger
    from torch.utils.data import DataLoader, TensorDataset

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.loss_function = run.model, nn.CrossEntropyLoss()

        def training_step(self, batch: Any) -> torch.Tensor:
            inputs, targets = batch
            loss = self.loss_function(self.model(inputs), targets)
            self.log("train/loss", loss)
            return loss

        def validation_step(self, batch: Any) -> None:
            self.log("valid/loss", self.loss_function(self.model(batch[0]), batch[1]))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.model.parameters())

    class Clock(lightning.Callback):
        spent, steps, began = 0.0, 0, 0.0

        def on_train_epoch_start(self, *_: object) -> None:
            self.began = time.perf_counter()

        def on_train_batch_end(self, trainer: Any, *_: object) -> None:
            if trainer.is_last_batch:
                self.spent += time.perf_counter() - self.began
                self.steps = trainer.global_step

    epochs = max(2, EPOCHS[run.configuration.one("model").component.name] // 6)  # enough for a median, and slow
    clock = Clock()
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=MLFlowLogger("lightning", tracking_uri=f"sqlite:///{scratch}/lightning.db"),
        callbacks=[clock],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=scratch,
        enable_checkpointing=False,
    )
    trainer.fit(
        Module(),
        DataLoader(TensorDataset(*run.data.splits["train"]), 64, shuffle=True),
        DataLoader(TensorDataset(*run.data.splits["valid"]), 1024),
    )
    return clock.spent / clock.steps


def measure(console: Console, rounds: int) -> dict[str, Any]:
    """Measure both models; return the medians and ratios."""
    found: dict[str, Any] = {}
    for model in EPOCHS:
        with tempfile.TemporaryDirectory(prefix="weft-bench-") as name, _quiet():
            scratch = Path(name)
            contenders = _contenders(model, scratch)
            times: dict[str, list[float]] = {contender: [] for contender in contenders}
            for number in range(rounds + 1):
                for contender, run in contenders.items():
                    seconds = run(number)
                    if number:  # the first round warms up
                        times[contender].append(seconds)
        pairs = {
            "weft / by hand": ("weft", "by hand"),
            "weft / by hand, fused": ("weft", "by hand, fused"),
            "gradients every step / none": ("gradients every step, kept in memory", "loss every step, kept in memory"),
            "with histograms every step / none": ("histograms every step, kept in memory", "loss every step, kept in memory"),
            "gradients and histograms by default / none": ("by default, kept in memory", "loss by default, kept in memory"),
            "the same, into MLflow": ("weft, gradients every step", "weft, loss every step"),
            "weft / Lightning": ("weft", "Lightning, MLFlowLogger"),
        }
        ratios = {
            name: statistics.median(a / b for a, b in zip(times[first], times[second], strict=True))
            for name, (first, second) in pairs.items()
            if second in times
        }
        found[model] = {
            "microseconds": {c: statistics.median(t) * 1e6 for c, t in times.items()},
            "ratios": ratios,
            "rounds": {c: [seconds * 1e6 for seconds in t] for c, t in times.items()},
        }
        _print(console, model, found[model])
    return found


def _contenders(model: str, scratch: Path) -> dict[str, Callable[[int], float]]:
    """Return who is measured: a function of the round's number that returns seconds a step."""
    rare, often = ["observe.every=1", "observe.gradients=false"], ["observe.every=1", "observe.budget=null"]
    found: dict[str, Callable[[int], float]] = {
        "by hand": lambda _: by_hand(prepared(model, scratch), fused=False),
        "by hand, fused": lambda _: by_hand(prepared(model, scratch), fused=True),
        "weft": lambda n: with_weft(prepared(model, scratch), scratch, n),
        "weft, gradients every step": lambda n: with_weft(prepared(model, scratch, *often), scratch, 1000 + n),
        "gradients every step, kept in memory": lambda _: in_memory(prepared(model, scratch, *often), scratch),
        "loss every step, kept in memory": lambda _: in_memory(prepared(model, scratch, *rare), scratch),
        "histograms every step, kept in memory": lambda _: in_memory(
            prepared(model, scratch, *often, "observe.histograms=1"), scratch
        ),
        "by default, kept in memory": lambda _: in_memory(prepared(model, scratch), scratch),
        "loss by default, kept in memory": lambda _: in_memory(prepared(model, scratch, "observe.gradients=false"), scratch),
        "weft, loss every step": lambda n: with_weft(prepared(model, scratch, *rare), scratch, 2000 + n),
    }
    if _has_lightning():
        found["Lightning, MLFlowLogger"] = lambda _: with_lightning(prepared(model, scratch), scratch)
    return found


def _print(console: Console, model: str, found: dict[str, Any]) -> None:
    table = Table(title=f"{model} on digits: a training step", title_justify="left")
    for column in ("", "median", "target", ""):
        table.add_column(column, justify="right" if column else "left")
    for contender, time_ in found["microseconds"].items():
        table.add_row(contender, f"{time_:.0f} µs", "", "")
    table.add_section()
    for name, ratio in found["ratios"].items():
        target = TARGETS.get((model, name))
        verdict = "" if target is None else "met" if ratio <= target else "missed"
        table.add_row(name, f"{ratio:.3f}", f"≤ {target:.2f}" if target else "", verdict)
    console.print(table)


def _has_lightning() -> bool:
    try:
        import lightning  # noqa: F401
    except ImportError:
        return False
    return True


@contextlib.contextmanager
def _quiet() -> Any:
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
