"""The kinds of plugin: what each is called, what the run supplies to it by name, what it then is.

Adding a kind is one row here and one hook in `hookspecs.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of component.

    `supplied` are the parameters that the run fills in; all others are options. `called_with` are the leading arguments of
    a *plain function* of this kind: such a function is the component itself, its remaining parameters the options. Where it
    is empty, a function is a factory like any class. `methods` are what every component of the kind has. `several` kinds
    live at `kind.name` in the config and combine.
    `chosen` kinds are groups of the command line.
    """

    name: str
    hook: str
    supplied: tuple[str, ...] = ()
    called_with: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    several: bool = False
    chosen: bool = True


KINDS = {
    kind.name: kind
    for kind in (
        Kind("model", "register_models", ("inputs", "outputs", "vocabulary", "task"), methods=("forward",)),
        Kind("loss", "register_losses", ("task", "outputs", "class_weights"), called_with=("outputs", "targets")),
        Kind(
            "optimizer",
            "register_optimizers",
            ("params", "model"),
            methods=("step", "zero_grad", "state_dict", "load_state_dict"),
        ),
        Kind(
            "regularizer",
            "register_regularizers",
            ("model", "task", "loss", "samples"),
            called_with=("model",),
            several=True,
        ),
        Kind("dataset", "register_datasets", ("split_seed",)),
        Kind("task", "register_tasks", chosen=False),
        Kind(
            "scheduler", "register_schedulers", ("optimizer", "total_steps"), methods=("step", "state_dict", "load_state_dict")
        ),
        Kind(
            "metric",
            "register_metrics",
            ("task", "outputs"),
            called_with=("outputs", "targets"),
            methods=("update", "compute", "reset"),
            several=True,
        ),
        Kind("activation", "register_activations", called_with=("input",), chosen=False),
        Kind("callback", "register_callbacks", several=True),
    )
}
