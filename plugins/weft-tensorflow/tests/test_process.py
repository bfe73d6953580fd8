"""What TensorFlow leaves alone: processes that didn't choose it, the terminal, the environment, threads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import Plugin, Weft

WATCHER = '''
"""Tells whether TensorFlow was in a job's process from its start, and at its end."""
import json, sys
from pathlib import Path
import weft

class Watcher(weft.Callback):
    """Writes down which modules there are."""
    def __init__(self):
        self.at_first = "tensorflow" in sys.modules
    def on_fit_end(self, run):
        name = run.configuration.one("model").component.name
        told = {"at_first": self.at_first, "at_last": "tensorflow" in sys.modules}
        Path(f"{name}.json").write_text(json.dumps(told))

@weft.hookimpl
def register_callbacks(register):
    register(Watcher, "watcher")
'''


def python(source: str) -> str:
    """Run a program in a process of its own; return what it printed. It must do well, and print nothing else."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_listing_imports_no_tensorflow() -> None:
    found = python(
        "import sys, weft_tensorflow; early = 'torch' in sys.modules\n"
        "from weft.catalog import catalog\n"
        "found = catalog()\n"
        "for name in ('tensorflow_mlp', 'tensorflow_cnn'): found.load(found.find('model', name))\n"
        "from weft_tensorflow import TensorFlowModel\n"
        "print(early, 'tensorflow' in sys.modules)"
    )
    assert found == "False False"


def test_a_model_starts_it_when_it_computes_and_not_before() -> None:
    found = python(
        "import sys, torch; from torch import nn; from weft_tensorflow.mlp import TensorFlowMLP\n"
        "model = TensorFlowMLP((4,), 2, activation=nn.ReLU, output_activation=nn.Identity)\n"
        "before = 'tensorflow' in sys.modules; model(torch.ones(3, 4)); print(before, 'tensorflow' in sys.modules)"
    )
    assert found == "False True"


def test_it_starts_without_a_word_and_leaves_the_process_as_it_was() -> None:
    found = python(
        "import os, sys, warnings, logging, torch; from torch import nn; from signal import SIGINT, SIGTERM, getsignal\n"
        "from weft_tensorflow.mlp import TensorFlowMLP\n"
        "state = lambda: (dict(os.environ), [*sys.path], [*warnings.filters], [*logging.getLogger().handlers],\n"
        "                 sys.excepthook, getsignal(SIGINT), getsignal(SIGTERM), torch.get_num_threads())\n"
        "before = state()\n"
        "model = TensorFlowMLP((4,), 2, activation=nn.ReLU, output_activation=nn.Identity)\n"
        "model(torch.ones(3, 4)).sum().backward(); print(state() == before)"
    )
    assert found == "True"


def test_it_has_torchs_number_of_threads_and_no_gpu() -> None:
    found = python(
        "import torch; torch.set_num_threads(3)\n"
        "from weft_tensorflow.starting import tensorflow; tf = tensorflow()\n"
        "threads = tf.config.threading\n"
        "print(threads.get_intra_op_parallelism_threads(), threads.get_inter_op_parallelism_threads(),\n"
        "      tf.config.get_visible_devices('GPU'))"
    )
    assert found == "3 3 []"


def test_in_a_sweep_it_is_only_in_the_job_that_chose_it(plugin: Plugin, weft_command: Weft, here: Path) -> None:
    plugin("weft_watcher", WATCHER)
    done = weft_command("run", "-m", "model=mlp,tensorflow_mlp,tensorflow_cnn", "epochs=2", "callback=watcher", "threads=1")
    told = {name: json.loads((here / f"{name}.json").read_text()) for name in ("mlp", "tensorflow_mlp", "tensorflow_cnn")}
    assert told["mlp"] == {"at_first": False, "at_last": False}
    # weft tries a model on two samples before a callback is made, so it is there by then; mlp's process shows that the server
    # that all jobs are forked from has none of it.
    assert told["tensorflow_mlp"]["at_last"] is True
    assert told["tensorflow_cnn"]["at_last"] is True
    shown = done.stdout + done.stderr
    for noise in ("TensorFlow binary", "oneDNN", "absl::", "cuda"):
        assert noise not in shown
    logs = [log.read_text() for log in here.glob("runs/**/*.log")]
    assert not any("absl::" in log or "oneDNN" in log for log in logs)
    records = [json.loads(record.read_text()) for record in here.glob("runs/sweeps/*/[0-9]*/run.json")]
    assert [record["status"] for record in records] == ["FINISHED"] * 3
    assert len({round(record["scores"]["test/loss"], 4) for record in records}) == 2  # of mlp twice, and of cnn


def test_interrupted_and_resumed_in_a_new_process_it_is_the_same_run(weft_command: Weft, here: Path) -> None:
    """To the same bits: in one process, and in two with the checkpoint between them."""
    common = ("model=tensorflow_mlp", "model.depth=2", "optimizer=adamw", "observe.system=null")
    weft_command("run", *common, "epochs=4", "hydra.run.dir=whole")
    weft_command("run", *common, "epochs=2", "hydra.run.dir=parts")
    weft_command("resume", "parts", "epochs=4")
    whole, parts = (json.loads((here / name / "run.json").read_text())["scores"] for name in ("whole", "parts"))
    assert whole == parts
