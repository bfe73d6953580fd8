"""What ships in the box, through the same entry point as anyone's plugin.

Everything is registered by its path, so that reading this list imports neither torch nor scikit-learn nor torchmetrics.
"""

from weft import hookimpl
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

register_models = hookimpl(models.register_models)
register_losses = hookimpl(losses.register_losses)
register_optimizers = hookimpl(optimizers.register_optimizers)
register_regularizers = hookimpl(regularizers.register_regularizers)
register_datasets = hookimpl(datasets.register_datasets)
register_schedulers = hookimpl(schedulers.register_schedulers)
register_metrics = hookimpl(metrics.register_metrics)
register_activations = hookimpl(activations.register_activations)
register_callbacks = hookimpl(callbacks.register_callbacks)


@hookimpl
def register_tasks(register):  # type: ignore[no-untyped-def]
    """Classification and regression."""
    register("weft_basics.tasks:Classification", name="classification")
    register("weft_basics.tasks:Regression", name="regression")
