"""The training loop. What is not here is a plugin.

fit    on_fit_start ─ ( epoch )* ─ on_fit_end
epoch  on_epoch_start ─ ( step )* ─ evaluate ─ on_epoch_end
step   change batch ─ optimizer( gradients ) ─ change weights ─ schedule ─ on_step_end
gradients  zero ─ ( forward ─ loss + penalties ─ backward )* ─ unscale ─ change gradients ─ observe ─ on_gradients
"""

import torch
from torch import Tensor

from weft.state import Evaluated, Run


def fit(run: Run) -> None:
    """Train until the run's epochs or steps are done, or a callback says that it is enough."""
    run.notify("on_fit_start")
    while not run.done:
        run.begin_epoch()
        run.notify("on_epoch_start")
        train(run)
        run.scores = evaluate(run, "valid")
        run.end_epoch()
        run.notify("on_epoch_end")
    run.notify("on_fit_end")


def train(run: Run) -> None:
    """One epoch, or what is left of it."""
    run.model.train()
    for batch in run.batches():
        inputs, targets = run.regularizers.batch(*batch)
        run.device.step(run.optimizer, lambda: gradients(run, inputs, targets))  # noqa: B023 - called before the next batch
        run.regularizers.weights(run.model)
        run.scheduler.step()
        run.step += 1
        run.notify("on_step_end")


def gradients(run: Run, inputs: Tensor, targets: Tensor) -> Tensor:
    """Leave one batch's true gradients in `.grad`, unscaled and unclipped; return what is minimised.

    The optimizer calls this: LBFGS and its like several times a step.
    """
    with torch.enable_grad():
        run.optimizer.zero_grad()
        done: dict[str, Tensor] = {}
        for piece, answers, share, last in run.device.split(inputs, targets, run.batch_weight):
            with run.device.autocast():
                outputs = run.forward(piece)
                terms = {"loss": run.loss(outputs, answers)}
                if last:
                    terms |= run.regularizers.penalties(run.model, outputs)
            done = run.device.backward(terms, share, done)
        run.device.unscale(run.optimizer)
        run.regularizers.gradients(run.model)
        run.observer.observe(run, done)
        run.notify("on_gradients")
        return run.device.total(done)


@torch.no_grad()
def evaluate(run: Evaluated, split: str) -> dict[str, float]:
    """Return the loss and every metric on a split, as `valid/loss`, `valid/accuracy`, …"""
    run.model.eval()
    loss, whole = 0.0, 0.0
    for metric in run.metrics.values():
        metric.reset()
    for inputs, targets in run.every(split):
        with run.device.autocast():
            outputs = run.forward(inputs)
            weight = run.batch_weight(targets)
            loss += float(run.loss(outputs, targets)) * weight
        whole += weight
        run.measure(inputs, outputs, targets)
    scores = {"loss": loss / whole} | {name: float(metric.compute()) for name, metric in run.metrics.items()}
    return {f"{split}/{name}": score for name, score in scores.items()}
