"""What ships in the box, offered as any plugin would: one folder a kind, one file an idea.

Importing this imports neither torch nor scikit-learn: everything is registered by its path.
"""

from weft import Register, hookimpl
from weft_basics import (
    activations,
    callbacks,
    datasets,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    schedulers,
)


@hookimpl
def register_models(register: Register) -> None:
    models.register_all(register)


@hookimpl
def register_losses(register: Register) -> None:
    losses.register_all(register)


@hookimpl
def register_optimizers(register: Register) -> None:
    optimizers.register_all(register)


@hookimpl
def register_regularizers(register: Register) -> None:
    regularizers.register_all(register)


@hookimpl
def register_datasets(register: Register) -> None:
    datasets.register_all(register)


@hookimpl
def register_tasks(register: Register) -> None:
    register("weft_basics.tasks:Classification", "classification")
    register("weft_basics.tasks:Regression", "regression")
    register("weft_basics.tasks:Clustering", "clustering")
    register("weft_basics.tasks:Density", "density")
    register("weft_basics.tasks:Reconstruction", "reconstruction")
    register("weft_basics.tasks:Control", "control")
    register("weft_basics.tasks:SequenceLabelling", "sequence_labelling")
    register("weft_basics.tasks:LanguageModelling", "language_modelling")


@hookimpl
def register_schedulers(register: Register) -> None:
    schedulers.register_all(register)


@hookimpl
def register_metrics(register: Register) -> None:
    metrics.register_all(register)


@hookimpl
def register_activations(register: Register) -> None:
    activations.register_all(register)


@hookimpl
def register_callbacks(register: Register) -> None:
    callbacks.register_all(register)
