"""Backpropagation written out in NumPy: the gradients, and the weights they lead to, that MLflow holds of the experiment."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import weft
from tests.core.telemetry.conftest import stop_shipper
from tests.experiments.fitting import Array, fit
from weft import Callback
from weft.state import Run

STORE = "sqlite:///runs/mlflow.db"


def six_steps(weights: dict[str, Array], inputs: Array, labels: Array) -> tuple[float, dict[str, Array]]:
    """Return the loss of a batch (N, 2) and its gradients, by name: two layers, tanh between them, cross entropy."""
    count, rows = len(inputs), np.arange(len(inputs))
    # 1. Forward: what each neuron of the hidden layer adds up, and what it makes of it.
    hidden = np.tanh(inputs @ weights["hidden.0.weight"].T + weights["hidden.0.bias"])
    # 2. Forward: the scores, and the probabilities they stand for.
    outputs = hidden @ weights["output.weight"].T + weights["output.bias"]
    exponentials = np.exp(outputs - outputs.max(1, keepdims=True))
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    # 3. The loss.
    loss = -np.log(probabilities[rows, labels]).mean()
    # 4. Backward: how the loss changes with each score.
    of_outputs = probabilities.copy()
    of_outputs[rows, labels] -= 1
    of_outputs /= count
    # 5. Backward: through the layer to what entered it, and through the bend; tanh's slope is 1 - tanh².
    of_hidden = (of_outputs @ weights["output.weight"]) * (1 - hidden**2)
    # 6. Each weight's gradient: what came in, times what came back.
    gradients = {
        "hidden.0.weight": of_hidden.T @ inputs,
        "hidden.0.bias": of_hidden.sum(0),
        "output.weight": of_outputs.T @ hidden,
        "output.bias": of_outputs.sum(0),
    }
    return float(loss), gradients


class Batches(Callback):
    """Keeps what a run begins with, the places of its samples, and what was in `.grad` at each step."""

    def __init__(self) -> None:
        self.gradients: list[dict[str, Array]] = []

    def on_fit_start(self, run: Run) -> None:
        self.begin = {name: weight.detach().numpy().copy() for name, weight in run.model.named_parameters()}

    def on_gradients(self, run: Run) -> None:
        self.gradients.append({name: weight.grad.numpy().copy() for name, weight in run.model.named_parameters()})  # type: ignore[union-attr]


@pytest.mark.integration
def test_numpy_trains_the_same_network_and_mlflow_has_its_gradients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    shutil.copy(template, tmp_path / "runs" / "mlflow.db")
    kept = Batches()
    run = fit("backpropagation", "test_weights=last", watching=(kept,))
    inputs, labels = (tensor.numpy() for tensor in run.data.splits["train"])
    rate, size = run.optimizer.param_groups[0]["lr"], run.configuration.settings.batch_size

    weights = kept.begin
    losses, gradients = [], []
    for epoch in range(run.epoch):
        order = run.data.order(0, epoch).numpy()
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            loss, found = six_steps(weights, inputs[batch], labels[batch])
            weights = {name: weight - rate * found[name] for name, weight in weights.items()}
            losses.append(loss)
            gradients.append(found)
    assert len(gradients) == run.step == len(kept.gradients)
    for ours, theirs in zip(gradients, kept.gradients, strict=True):
        for name in ours:
            np.testing.assert_allclose(theirs[name], ours[name], atol=1e-12)
    for name, weight in run.model.named_parameters():
        np.testing.assert_allclose(weight.detach().numpy(), weights[name], atol=1e-10)

    recorded = weft.run("+experiment=backpropagation")
    from mlflow import MlflowClient

    try:
        client = MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db")
        for name in weights:
            history = client.get_metric_history(recorded.run_id, f"grad_norm/{name}")
            norms = {point.step: point.value for point in history}
            expected = [float(np.linalg.norm(found[name])) for found in gradients]
            assert len(norms) == len(expected)
            np.testing.assert_allclose([norms[step] for step in sorted(norms)], expected, atol=1e-6)
        history = client.get_metric_history(recorded.run_id, "train/loss")
        np.testing.assert_allclose([point.value for point in sorted(history, key=lambda p: p.step)], losses, atol=1e-6)
    finally:
        stop_shipper(STORE)
