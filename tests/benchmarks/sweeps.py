"""A sweep of 24 jobs, all of it recorded, against what users would write instead; and what one more job costs.

2 models × 3 optimizers × 4 seeds, 10 epochs of digits, on two cores. A contender's time is that of its whole command, from an
empty folder until the last number is in MLflow. Each round runs every contender once, one after the other. Lightning's keep
what they can of what weft keeps: losses, scores, norms of gradients, the best and the last model, the best one's test scores.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

GRID = ["model=mlp,cnn", "optimizer=sgd,adam,adamw", "seed=0,1,2,3"]
TARGETS = {
    "Hydra basic + Lightning + MLFlowLogger / weft": (4.0, True),
    "Hydra joblib + Lightning + MLFlowLogger / weft": (4.0, True),
    "weft / script in two processes, no tracking": (1.5, False),
}

_TRAINING = """
import functools
import torch
from torch import nn
from weft_basics.datasets.digits import digits
from weft_basics.models.cnn import CNN
from weft_basics.models.mlp import MLP

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
MODELS = {
    "mlp": functools.partial(MLP, activation=nn.ReLU, output_activation=nn.Identity),
    "cnn": functools.partial(CNN, activation=nn.ReLU),
}
"""

_SCRIPT = (
    _TRAINING
    + """
import itertools, multiprocessing

def train(job):
    model_name, optimizer_name, seed = job
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    data = digits(split_seed=0)
    model = MODELS[model_name](inputs=data.inputs, outputs=data.outputs)
    optimizer = OPTIMIZERS[optimizer_name](model.parameters(), lr=1e-3)
    loss_function = nn.CrossEntropyLoss()
    inputs, targets = data.train
    for epoch in range(10):
        model.train()
        order = torch.randperm(len(inputs))
        for first in range(0, len(inputs), 64):
            chosen = order[first : first + 64]
            optimizer.zero_grad()
            loss_function(model(inputs[chosen]), targets[chosen]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            outputs = model(data.valid[0])
            score = loss_function(outputs, data.valid[1]).item()
            (outputs.argmax(1) == data.valid[1]).float().mean().item()
    return job, score

if __name__ == "__main__":
    jobs = [*itertools.product(["mlp", "cnn"], ["sgd", "adam", "adamw"], range(4))]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for job, score in pool.imap_unordered(train, jobs):
            print(*job, score)
"""
)

_LIGHTNING = (
    _TRAINING
    + """
import logging, os, warnings
import hydra, lightning
from mlflow import MlflowClient
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.utilities import grad_norm
from torch.utils.data import DataLoader, TensorDataset

PLACE = os.getcwd()
STORE = f"sqlite:///{PLACE}/mlflow.db"
warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

class Module(lightning.LightningModule):
    def __init__(self, model, optimizer):
        super().__init__()
        self.model, self.optimizer, self.loss_function = model, optimizer, nn.CrossEntropyLoss()
    def training_step(self, batch, index):
        loss = self.loss_function(self.model(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss
    def validation_step(self, batch, index):
        outputs = self.model(batch[0])
        self.log("valid/loss", self.loss_function(outputs, batch[1]))
        self.log("valid/accuracy", (outputs.argmax(1) == batch[1]).float().mean())
    def test_step(self, batch, index):
        outputs = self.model(batch[0])
        self.log("test/loss", self.loss_function(outputs, batch[1]))
        self.log("test/accuracy", (outputs.argmax(1) == batch[1]).float().mean())
    def on_before_optimizer_step(self, optimizer):
        self.log_dict(grad_norm(self, norm_type=2))
    def configure_optimizers(self):
        return OPTIMIZERS[self.optimizer](self.parameters(), lr=1e-3)

@hydra.main(version_base="1.3", config_path=None)
def main(config):
    torch.set_num_threads(1)
    lightning.seed_everything(config.seed)
    data = digits(split_seed=0)
    module = Module(MODELS[config.model](inputs=data.inputs, outputs=data.outputs), config.optimizer)
    logger = MLFlowLogger("sweep", tracking_uri=STORE, artifact_location=f"{PLACE}/files", log_model=True)
    logger.log_hyperparams(dict(config))
    trainer = lightning.Trainer(
        max_epochs=10, accelerator="cpu", logger=logger, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[ModelCheckpoint(monitor="valid/loss", save_last=True)], default_root_dir=PLACE,
    )
    splits = (data.train, data.valid, data.test)
    train, valid, test = [DataLoader(TensorDataset(*split), batch_size=64, shuffle=split is data.train) for split in splits]
    trainer.fit(module, train, valid)
    trainer.test(module, test, ckpt_path="best", verbose=False)

if __name__ == "__main__":
    MlflowClient(STORE).search_experiments()  # two processes that make its tables at once spoil them
    main()
"""
)

_PARENT = """
import json, os, statistics, sys, time
import psutil
from weft.sweep import process, running
from weft.sweep.process import Call
from weft.sweep.scheduling import Scheduler
from weft.sweep.slots import Said, Slot, Slots, Task
from weft import cli

number = int(sys.argv[1])
memory, spent = [], []
run, hear = Scheduler.run, Scheduler._hear

def heard(self, event):
    hear(self, event)
    if type(event).__name__ == "Ended":
        memory.append(psutil.Process().memory_info().rss)

def timed(self):
    start = time.process_time()
    stopped = run(self)
    spent.append(time.process_time() - start)
    return stopped

Scheduler.run, Scheduler._hear = timed, heard
sys.argv = ["weft", "run", "-m", "dataset=iris", "model=linear", "epochs=1", f"seed=range({number})", "sweep.name=many"]
try:
    cli.main()
except SystemExit as end:
    assert end.code == 0, end.code
print(json.dumps([spent[0] / number, memory]), file=sys.stderr)
"""

_START = """
import json, statistics, sys, time
from weft.sweep import process
from weft.sweep.process import Call
from weft.sweep.slots import Begun, Said, Slot, Slots, Task

process.warm()
waiting = iter([Task(Call("tests.benchmarks.sweeps:tell_time")) for _ in range(41)])
begun, found = 0.0, []
def take(slot):
    global begun
    begun = time.monotonic()
    return next(waiting, None)
with Slots([Slot("cpu", 1)], process.context()) as slots:
    for event in slots.run(take):
        if isinstance(event, Said):
            found.append(event.message - begun)
print(json.dumps(found[1:]), file=sys.stderr)
"""


def tell_time(tell: Any) -> None:
    """Say what time it is, first of all."""
    tell(time.monotonic())


def measure(console: Console, rounds: int) -> dict[str, Any]:
    """Measure the contenders, and a job's share of the parent; return medians."""
    rounds = max(3, rounds // 3)
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, command in _contenders().items():
            seconds.setdefault(name, []).append(_timed(command))
    found: dict[str, Any] = {"seconds": {name: statistics.median(times) for name, times in seconds.items()}, "ratios": {}}
    table = Table(title=f"24 jobs, {rounds} rounds", title_justify="left")
    for column in ("", "median", "target"):
        table.add_column(column, justify="left" if not column else "right")
    for name, times in seconds.items():
        table.add_row(name, f"{statistics.median(times):.1f} s", "")
    table.add_section()
    for name, (target, is_least) in TARGETS.items():
        above, below = name.split(" / ")
        ratio = statistics.median(a / b for a, b in zip(seconds[above], seconds[below], strict=True))
        found["ratios"][name] = ratio
        met = ratio >= target if is_least else ratio <= target
        table.add_row(name, f"{ratio:.2f}", f"{'≥' if is_least else '≤'} {target} {'met' if met else 'missed'}")
    table.add_section()
    found["job"] = job = _job()
    for name, value, target, unit in (
        ("a job's start, from slot to first line", job["start"] * 1000, 50, "ms"),
        ("the parent's time for a job, of 200", job["parent"] * 1000, 20, "ms"),
        ("the parent's memory, from job 100 to job 500", job["growth"] / 2**20, 1, "MB"),
    ):
        table.add_row(name, f"{value:.1f} {unit}", f"≤ {target} {unit} {'met' if value <= target else 'missed'}")
    console.print(table)
    return found


def _contenders() -> dict[str, list[str]]:
    """Return each contender's command."""
    keys = [f"+{pair}" for pair in GRID]
    lightning = ["-m", *keys, "hydra.sweep.dir=jobs"]
    return {
        "weft": ["-m", "weft.cli", "run", "-m", *GRID, "epochs=10", "telemetry.wait=600"],
        "script in two processes, no tracking": ["-c", _SCRIPT],
        "Hydra basic + Lightning + MLFlowLogger": ["-c", _LIGHTNING, *lightning],
        "Hydra joblib + Lightning + MLFlowLogger": [
            *("-c", _LIGHTNING, *lightning, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
        ],
    }


def _timed(command: list[str]) -> float:
    """Run a command in an empty folder; return its seconds."""
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as scratch:
        folder = Path(scratch)
        words = command
        if words[0] == "-c":  # a program of several processes must be a file
            (folder / "program.py").write_text(words[1])
            words = ["program.py", *words[2:]]
        start = time.perf_counter()
        done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return time.perf_counter() - start


def _job() -> dict[str, float]:
    """Return what a job more costs: seconds from slot to first line, seconds of the parent's processor, bytes it grows by."""
    start = json.loads(_child(_START))
    parent, _ = json.loads(_child(_PARENT, "200"))
    _, memory = json.loads(_child(_PARENT, "500"))
    return {
        "start": statistics.median(start),
        "parent": parent,
        "growth": statistics.median(memory[-20:]) - statistics.median(memory[90:110]),
    }


def _child(program: str, *arguments: str) -> str:
    """Run a program in an empty folder; return the last line of what it says to standard error."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as scratch:
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stderr.strip().splitlines()[-1]
