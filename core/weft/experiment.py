"""A configuration becomes a run: every part built, and held against every other, before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from weft import objective, reference, saved
from weft.build import build
from weft.catalog import Catalog
from weft.configuration import Configuration, default_part
from weft.data import SPLITS, Data
from weft.device import Device
from weft.errors import ConfigError, PluginError
from weft.made import data_of
from weft.optimization import optimizer_of
from weft.options import show
from weft.randomness import derived, kept_randomness, seed_everything
from weft.regularization import Regularizers
from weft.state import Evaluated, Run, Unscheduled
from weft.telemetry.observer import Observer


def prepare(wanted: Configuration, catalog: Catalog) -> Run:
    """Build a run that is ready to be fitted. Nothing is written; the process's random state stays as it was.

    Raises:
        ConfigError: parts that don't fit each other or the data, labels that can't be, a device that isn't there.
        PluginError: a plugin that can't be imported, or that breaks its kind's contract.
    """
    device = Device(wanted.settings)
    with kept_randomness(device.device):
        data = _data(wanted, catalog)
        task, wanted = _checked(wanted, data, catalog)
        weights = _class_weights(wanted, data)
        data.place(device)
        seed_everything(wanted.settings.seed)
        model = _model(wanted, data, device, catalog)
        seed_everything(derived(wanted.settings.seed, "parts"))  # what follows draws the same numbers whatever the model drew
        loss = _loss(wanted, data, weights, device, catalog)
        _check_accumulate(wanted, loss)
        _try(model, loss, data, device, wanted)
        supplied = {"model": model, "task": data.task, "loss": loss, "samples": data.sizes()["train"]}
        regularizers = Regularizers({part.name: build(part, catalog, **supplied) for part in wanted.parts["regularizer"]})
        regularizers.attach(model)
        _try_penalties(regularizers, model, data, device)
        metrics = _metrics(wanted, data, device, catalog)
        judged = objective.parse(wanted.settings.objective or task.objective, metrics)
        reference.check(wanted.settings.reference, metrics, data.scored)
        total = wanted.settings.steps or wanted.settings.epochs * data.steps(wanted.settings.batch_size)
        wanted, optimizer = optimizer_of(wanted, model, device, catalog)
        scheduler = _scheduler(wanted, optimizer, total, catalog)
        run = Run(
            configuration=wanted,
            device=device,
            data=data,
            model=model,
            loss=loss,
            optimizer=optimizer,
            scheduler=scheduler,
            regularizers=regularizers,
            metrics=metrics,
            objective=judged,
            observer=Observer(wanted.settings.observe),
            total_steps=total,
            callbacks={part.name: build(part, catalog) for part in wanted.parts["callback"]},
        )
        for part in (data, model, optimizer, *run.callbacks.values(), *regularizers.parts.values()):
            if hasattr(part, "check"):
                part.check(run)
        return run


def evaluated(wanted: Configuration, folder: Path, weights: str, catalog: Catalog) -> Evaluated:
    """Build what evaluating the model in a folder needs. Nothing is written; the random state stays as it was.

    Raises:
        ConfigError: data that the model isn't for, and what `prepare` refuses of a dataset, a loss, metrics and a device.
        PluginError: likewise.
    """
    device = Device(wanted.settings)
    with kept_randomness(device.device):
        data = _data(wanted, catalog)
        _check_fit(data, folder)
        _, wanted = _checked(wanted, data, catalog)
        class_weights = _class_weights(wanted, data)
        data.place(device)
        model = device.adopt(saved.read(folder, weights))
        device.share_threads(model)
        loss = _loss(wanted, data, class_weights, device, catalog)
        _try(model, loss, data, device, wanted)
        metrics = _metrics(wanted, data, device, catalog)
        return Evaluated(wanted, device, data, model, loss, metrics)


def _data(wanted: Configuration, catalog: Catalog) -> Data:
    part = wanted.one("dataset")
    return data_of(build(part, catalog, split_seed=wanted.settings.split_seed), part.component.name)


def _check_fit(data: Data, folder: Path) -> None:
    """Refuse data of another task, or with other outputs, tokens or classes than a saved model's. Whether its samples fit is
    for the model to say."""
    description = saved.describe(folder)
    trained = description["supplied"]
    differing = [
        (what, show(data.supplied[what]), show(trained[what]))
        for what in ("task", "outputs", "vocabulary")
        if data.supplied[what] != trained[what]
    ]
    differing += [
        (f"{what}[{number}]", repr(here), repr(there))
        for what in ("classes", "tokens")  # whose names not every dataset knows
        for number, (here, there) in enumerate(zip(getattr(data, what), description.get(what, []), strict=False))
        if here != there
    ]
    if differing:
        what, here, there = differing[0]
        raise ConfigError(f"dataset={data.name}: {what}: {here} here, {there} where the model was trained")


def _checked(wanted: Configuration, data: Data, catalog: Catalog) -> tuple[Any, Configuration]:
    """Return the dataset's task, and the configuration with what was left to it; the data and all parts suit it."""
    task = build(default_part("task", data.task, catalog), catalog)
    wanted = _completed(wanted, task, catalog)
    _check_tasks(wanted, data.task, catalog)
    _check_targets(task, data)
    return task, wanted


def _metrics(wanted: Configuration, data: Data, device: Device, catalog: Catalog) -> dict[str, Any]:
    metrics = {
        part.name: _placed(build(part, catalog, task=data.task, outputs=data.outputs), device)
        for part in wanted.parts["metric"]
    }
    if "loss" in metrics:
        raise ConfigError("metric.loss: 'loss' is the loss's own name among the scores; give the metric another")
    return metrics


def _completed(wanted: Configuration, task: Any, catalog: Catalog) -> Configuration:
    """Fill in what was left to the dataset's task: its loss and metrics."""
    if not wanted.parts["loss"]:
        wanted = wanted.with_parts("loss", (default_part("loss", task.loss, catalog),))
    if not wanted.parts["metric"]:
        wanted = wanted.with_parts("metric", tuple(default_part("metric", name, catalog) for name in task.metrics))
    return wanted


def _check_tasks(wanted: Configuration, task: str, catalog: Catalog) -> None:
    """Refuse a part that says which tasks it serves when this is none of them."""
    for part in wanted.every_part():
        if part.component.tasks and task not in part.component.tasks:
            fitting = [
                name
                for name in catalog.names(part.kind)
                for other in catalog.components[part.kind][name]
                if not other.tasks or task in other.tasks
            ]
            raise ConfigError(
                f"{part}: serves {' and '.join(part.component.tasks)}, and dataset "
                f"{wanted.one('dataset').component.name} is {task}; there are {', '.join(fitting)}"
            )


def _check_targets(task: Any, data: Data) -> None:
    for split in SPLITS:
        try:
            task.check(data.outputs, data.splits[split][1])
        except ValueError as error:
            raise ConfigError(f"dataset={data.name}: {split}: {error}") from error


def _class_weights(wanted: Configuration, data: Data) -> Tensor | None:
    """Return the weight of each class: as given, or in inverse proportion to its share of the training data."""
    asked = wanted.settings.class_weights
    if asked is None:
        return None
    targets = data.splits["train"][1]
    if targets.is_floating_point():
        raise ConfigError(f"class_weights: dataset {data.name} is {data.task}, it has no classes")
    if "class_weights" not in wanted.one("loss").component.supplied:
        raise ConfigError(f"class_weights: loss {wanted.one('loss').component.name} doesn't take them")
    if asked == "balanced":
        labels = targets[targets >= 0]  # a place of a sequence that has none is below zero
        counts = torch.bincount(labels, minlength=data.outputs)
        return len(labels) / (data.outputs * counts.clamp_min(1))
    if len(asked) != data.outputs:
        raise ConfigError(f"class_weights: {len(asked)} weights for {data.outputs} classes of dataset {data.name}")
    return torch.tensor(asked)


def _model(wanted: Configuration, data: Data, device: Device, catalog: Catalog) -> nn.Module:
    part = wanted.one("model")
    model = build(part, catalog, **data.supplied)
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{part}: made a {type(model).__name__}, not a torch module")
    model = device.adopt(model)
    if any(isinstance(parameter, nn.UninitializedParameter) for parameter in model.parameters()):
        _forward(model, data, device, wanted)  # a lazy module learns its sizes
    source = wanted.settings.init_from
    if source is not None:
        try:
            with saved.located(source, wanted.settings.store) as folder:
                saved.put(model, saved.read_weights(folder), source)
        except ConfigError as error:
            raise ConfigError(f"init_from: {error}") from None
    device.share_threads(model)
    return model


def _check_accumulate(wanted: Configuration, loss: Any) -> None:
    if wanted.settings.accumulate > 1 and getattr(loss, "compares_samples", False):
        raise ConfigError(
            f"accumulate={wanted.settings.accumulate}: {wanted.one('loss')} compares the samples of a batch with each other, "
            "and would find other ones in its pieces; take a smaller batch_size"
        )


def _loss(wanted: Configuration, data: Data, weights: Tensor | None, device: Device, catalog: Catalog) -> Any:
    part = wanted.one("loss")
    placed = None if weights is None else device.place(weights)
    loss = _placed(build(part, catalog, task=data.task, outputs=data.outputs, class_weights=placed), device)
    if hasattr(loss, "check"):
        for split in SPLITS:
            try:
                loss.check(data.splits[split][1])
            except ValueError as error:
                raise ConfigError(f"{part}: doesn't fit dataset {data.name}: {split}: {error}") from error
    return loss


def _scheduler(wanted: Configuration, optimizer: Any, total_steps: int, catalog: Catalog) -> Any:
    for part in wanted.parts["scheduler"]:
        try:
            return build(part, catalog, optimizer=optimizer, total_steps=total_steps)
        except PluginError as error:
            if any("lr" not in group for group in getattr(optimizer, "param_groups", [{}])):
                name = wanted.one("optimizer")
                raise ConfigError(f"{part}: moves a learning rate, and {name} has none; leave the scheduler out") from error
            raise
    return Unscheduled()


def _placed(part: Any, device: Device) -> Any:
    """Move what is a module, such as a loss with weights or a metric with counters, to the device."""
    return part.to(device.device) if isinstance(part, nn.Module) else part


@torch.no_grad()
def _try(model: nn.Module, loss: Any, data: Data, device: Device, wanted: Configuration) -> None:
    """Put two samples through the model and the loss.

    Raises:
        ConfigError: they don't fit each other; says what each was given.
    """
    outputs = _forward(model, data, device, wanted)
    targets = data.splits["train"][1][:2]
    shape = [list(one.shape) for one in outputs] if isinstance(outputs, tuple) else list(getattr(outputs, "shape", ()))
    try:
        with device.session(), device.autocast():
            value = loss(outputs, targets)
            if value.shape != ():
                raise ValueError(f"it returned shape {list(value.shape)} instead of a scalar")
    except Exception as error:
        raise ConfigError(
            f"{wanted.one('loss')}: doesn't fit outputs {shape} of model {wanted.one('model').component.name} and targets "
            f"{list(targets.shape)} of dataset {data.name}: {type(error).__name__}: {error}"
        ) from error


@torch.no_grad()
def _forward(model: nn.Module, data: Data, device: Device, wanted: Configuration) -> Any:
    """Return what the model makes of two samples.

    Raises:
        ConfigError: it fails on them.
    """
    try:
        with device.session(), device.autocast():
            return model.eval()(data.splits["train"][0][:2])
    except Exception as error:
        raise ConfigError(
            f"{wanted.one('model')}: doesn't fit dataset {data.name}, whose samples have shape {list(data.inputs)}: "
            f"{type(error).__name__}: {error}"
        ) from error


@torch.no_grad()
def _try_penalties(regularizers: Regularizers, model: nn.Module, data: Data, device: Device) -> None:
    """See that every penalty is a scalar tensor.

    Raises:
        PluginError: one is not.
    """
    model.eval()
    with device.session(), device.autocast():
        for name, penalty in regularizers.penalties(model, model(data.splits["train"][0][:2])).items():
            if not isinstance(penalty, Tensor) or penalty.shape != ():
                raise PluginError(f"regularizer={name.removeprefix('penalty.')}: its penalty is {penalty!r}, no scalar tensor")
