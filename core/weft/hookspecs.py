"""Everything a plugin can offer.

Name a module under `[project.entry-points.weft]` and implement any of these in it. Each hook is called once, at
start-up, with `register(factory, name=None, summary=None, **parameters)`. `factory` is a class, a function, or a
`"module:attribute"` that is imported only when chosen. A factory asks for what it needs by naming it: the names that the
run supplies stand below; every other parameter is an option, with its own type, default and range.
"""

from collections.abc import Callable

import pluggy

Register = Callable[..., None]

hookspec = pluggy.HookspecMarker("weft")
hookimpl = pluggy.HookimplMarker("weft")


@hookspec
def register_models(register: Register) -> None:
    """Models: torch modules, `forward(inputs) -> outputs`: a tensor, or several as a NamedTuple, all of which losses, penalties
    and metrics are given, and the first of which is the answer where only one is asked for. They may have `check(run)`, called
    once before anything is written. The run supplies `inputs` (shape of one sample, without the batch), `outputs` (how many),
    `vocabulary` (number of tokens, or None) and `task`."""


@hookspec
def register_losses(register: Register) -> None:
    """Losses: called `loss(outputs, targets)`, return a scalar; `tasks` may say which tasks they serve, and
    `batch_weight(targets)` what a batch counts for in a mean over batches, where that isn't its number of samples. One that
    says `compares_samples = True` is of a batch as a whole: `accumulate` is refused, and evaluation mixes the samples. One that
    says `on_policy = True` is of what the model has just done itself. Its `check(targets)` may raise ValueError for targets of
    a split that it can't be of. The run supplies `task`, `outputs` and `class_weights` (a tensor, or None)."""


@hookspec
def register_optimizers(register: Register) -> None:
    """Optimizers: `step(closure)`, `zero_grad`, `state_dict`, as torch's, which can be registered as they are. One that has to
    do with other parts of the run may have `check(run)`, as callbacks do: it is called once, before anything is written. The
    run supplies `params` and `model`."""


@hookspec
def register_regularizers(register: Register) -> None:
    """Regularizers: any of `attach(model)`, `batch(inputs, targets)`, `penalty(model, outputs)`, `gradients(model)` and
    `weights(model)`; a plain function of `model` is a penalty. They may have `check(run)`, too. The run supplies `model`,
    `task`, `loss` and `samples` (how many are trained on)."""


@hookspec
def register_datasets(register: Register) -> None:
    """Datasets: `task`, `inputs`, `outputs`, and `train`, `valid`, `test`, each a pair of tensors (inputs, targets). Targets
    of a regression are (N, outputs); labels are whole numbers (N,), or (N, length) with -100 at a place that has none. With a
    `vocabulary` the inputs are tokens (N, length), 0 to vocabulary - 1, where 0 fills up a sample at its end. The names of
    the labels may stand in `classes`, those of the tokens in `tokens`, what it was made of in `source`. Where a run makes its
    own data a dataset has `batches(run, split)`, which yields (inputs, targets) on the run's device: of train without end, from
    `run.step` on, of the others all that is measured. It is called anew for each epoch, and where a run goes on: what it must
    remember is the dataset's, in `state_dict` and `load_state_dict`. What is measured may be a saved model: `run` has `model`,
    `device`, `loss` and `configuration` then, no step and no log. The splits of such a dataset are samples of that form, by
    which parts are held against each other; it may have `check(run)`. The run supplies `split_seed`."""


@hookspec
def register_tasks(register: Register) -> None:
    """Tasks: what a dataset asks for. `loss`, `metrics` and `objective` are the defaults; `check(outputs, targets)` raises
    ValueError for targets that can't be. Chosen by the dataset, not by the user."""


@hookspec
def register_schedulers(register: Register) -> None:
    """Learning rate schedulers: torch's protocol, stepped after every step. The run supplies `optimizer` and
    `total_steps`."""


@hookspec
def register_metrics(register: Register) -> None:
    """Metrics: `update(outputs, targets)`, or `update(outputs, targets, inputs)`, `compute()`, `reset()`, as torchmetrics'; a
    plain function of `outputs` and `targets` is averaged over samples. The run supplies `task` and `outputs`."""


@hookspec
def register_activations(register: Register) -> None:
    """Activations: a module, or a plain function of one tensor."""


@hookspec
def register_callbacks(register: Register) -> None:
    """Callbacks: any of the six events of `weft.Callback`; may have `state_dict` and `load_state_dict`."""
