"""The optimizers, losses and learning rate schedulers of pytorch_optimizer, as a plugin of weft.

Importing this imports neither torch nor pytorch_optimizer: everything is registered by its path.
"""

from typing import Annotated, Any

from weft import Range, Register, fixed, hookimpl
from weft_pytorch_optimizer.left_out import LEFT_OUT
from weft_pytorch_optimizer.names import LOSSES, OPTIMIZERS, SCHEDULERS

left_out = LEFT_OUT

_SMOOTH = Annotated[float, Range(0, 0.9999), "share of a label that the others have"]
_TINY = Annotated[float, Range(1e-12, 0.1, log=True), "keeps a division, or a logarithm, from zero"]
_FOCUS = Annotated[float, Range(0, 10), "how much less what is answered well counts; 0: not at all"]
_ALPHA = Annotated[float, Range(1e-3, 10, log=True), "factor of the loss"]
_MEAN = {"reduction": fixed("mean")}
_OVERLAP = {
    "mode": fixed("multiclass"),
    "classes": fixed(None),
    "from_logits": fixed(True),
    "log_loss": Annotated[bool, "the logarithm of the overlap in place of what it lacks"],
    "label_smooth": Annotated[float, Range(0, 1000), "added above and below the fraction"],
    "eps": _TINY,
}
_ERRORS = {
    "alpha": Annotated[float, Range(0, 10), "weight of false alarms"],
    "beta": Annotated[float, Range(0, 10), "weight of misses"],
    "smooth": _TINY,
}

_OF_LOSSES: dict[str, dict[str, Any]] = {
    "bceloss": {"label_smooth": _SMOOTH, "eps": _TINY, **_MEAN},
    "bcefocalloss": {
        "alpha": Annotated[float, Range(0, 1), "weight of a class's own samples; the others' is 1 - alpha"],
        "gamma": _FOCUS,
        "label_smooth": _SMOOTH,
        "eps": _TINY,
        **_MEAN,
    },
    "diceloss": {**_OVERLAP, "ignore_index": fixed(None)},
    "focalcosineloss": {
        "alpha": _ALPHA,
        "gamma": _FOCUS,
        "focal_weight": Annotated[float, Range(0, 10), "weight of the focal loss beside the cosine's"],
        **_MEAN,
    },
    "focalloss": {"alpha": _ALPHA, "gamma": _FOCUS},
    "focaltverskyloss": {**_ERRORS, "gamma": Annotated[float, Range(0.1, 10, log=True), "power of the loss"]},
    "jaccardloss": _OVERLAP,
    "lovaszhingeloss": {"per_image": fixed(True)},
    "softf1loss": {
        "beta": Annotated[float, Range(0.01, 100, log=True), "above 1: misses weigh more than false alarms"],
        "eps": _TINY,
    },
    "tverskyloss": _ERRORS,
}
"""What the losses' parameters are, of those that don't say so themselves."""


@hookimpl
def register_optimizers(register: Register) -> None:
    for name in OPTIMIZERS:
        register(f"weft_pytorch_optimizer.optimizers:{name}", name)


@hookimpl
def register_losses(register: Register) -> None:
    for name, path in LOSSES.items():
        register(path, name, **_OF_LOSSES.get(name, {}))


@hookimpl
def register_schedulers(register: Register) -> None:
    for name, path in SCHEDULERS.items():
        register(path, name)
