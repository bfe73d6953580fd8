"""Optimizers: torch's, as they are, with a range for every number; muon, which is made of two of torch's; and em, which goes to
a maximum in closed form."""

from typing import Annotated, Any, Literal

from weft import Range, Register, fixed

_RATE = Annotated[float, Range(1e-6, 10, log=True), "learning rate"]
_DECAY = Annotated[float, Range(0, 1), "weight decay"]
_EPSILON = Annotated[float, Range(1e-16, 1, log=True), "keeps a division from zero"]
_MOMENTUM = Annotated[float, Range(0, 0.9999), "share of the last update that is kept"]
_BETAS = Annotated[tuple[float, float], Range(0, 0.99999), "how much of the running mean and of its square is kept"]

_CONSTANT = {"differentiable": fixed(False), "capturable": fixed(False), "maximize": fixed(False)}
"""What a run has no use for: gradients of updates, CUDA graphs made by hand, ascent."""
_PLAIN = {name: _CONSTANT[name] for name in ("differentiable", "maximize")}

_TORCH: dict[str, tuple[str, str, dict[str, Any]]] = {
    "adadelta": (
        "Adadelta",
        "Steps in proportion to recent steps over recent gradients (Zeiler 2012).",
        {"lr": _RATE, "rho": Annotated[float, Range(0, 1)], "eps": _EPSILON, "weight_decay": _DECAY, **_CONSTANT},
    ),
    "adafactor": (
        "Adafactor",
        "Adam's second moment kept as one row and one column (Shazeer and Stern 2018).",
        {
            "lr": _RATE,
            "beta2_decay": Annotated[float, Range(-2, 0)],
            "eps": Annotated[tuple[float | None, float], Range(0, 1)],
            "d": Annotated[float, Range(1, 100), "clipping threshold of an update"],
            "weight_decay": _DECAY,
            "maximize": fixed(False),
        },
    ),
    "adagrad": (
        "Adagrad",
        "Each weight's rate falls with the squares of its gradients so far (Duchi et al. 2011).",
        {
            "lr": _RATE,
            "lr_decay": Annotated[float, Range(0, 1)],
            "weight_decay": _DECAY,
            "initial_accumulator_value": Annotated[float, Range(0, 10)],
            "eps": _EPSILON,
            **_PLAIN,
        },
    ),
    "adam": (
        "Adam",
        "Running means of the gradient and of its square (Kingma and Ba 2015).",
        {"lr": _RATE, "betas": _BETAS, "eps": _EPSILON, "weight_decay": _DECAY, **_CONSTANT},
    ),
    "adamw": (
        "AdamW",
        "Adam with weight decay beside the gradient (Loshchilov and Hutter 2019).",
        {"lr": _RATE, "betas": _BETAS, "eps": _EPSILON, "weight_decay": _DECAY, **_CONSTANT},
    ),
    "adamax": (
        "Adamax",
        "Adam with the largest recent gradient in place of the mean square (Kingma and Ba 2015).",
        {"lr": _RATE, "betas": _BETAS, "eps": _EPSILON, "weight_decay": _DECAY, **_CONSTANT},
    ),
    "asgd": (
        "ASGD",
        "Averaged stochastic gradient descent (Polyak and Juditsky 1992).",
        {
            "lr": _RATE,
            "lambd": Annotated[float, Range(0, 1), "decay of the rate"],
            "alpha": Annotated[float, Range(0, 10), "power of the rate's decay"],
            "t0": Annotated[float, Range(0, 1e9), "step that averaging begins at"],
            "weight_decay": _DECAY,
            **_CONSTANT,
        },
    ),
    "lbfgs": (
        "LBFGS",
        "Quasi-Newton steps from recent gradients; evaluates the loss several times a step (Liu and Nocedal 1989).",
        {
            "lr": _RATE,
            "max_iter": Annotated[int, Range(1, 10_000), "iterations a step"],
            "max_eval": Annotated[int | None, Range(1, 100_000), "evaluations a step; null: 1.25 for each iteration"],
            "tolerance_grad": Annotated[float, Range(0, 1), "gradient to stop a step at"],
            "tolerance_change": Annotated[float, Range(0, 1), "change to stop a step at"],
            "history_size": Annotated[int, Range(1, 10_000), "gradients remembered"],
            "line_search_fn": Annotated[Literal["strong_wolfe"] | None, "null: steps of length lr"],
        },
    ),
    "nadam": (
        "NAdam",
        "Adam with Nesterov's momentum (Dozat 2016).",
        {
            "lr": _RATE,
            "betas": _BETAS,
            "eps": _EPSILON,
            "weight_decay": _DECAY,
            "momentum_decay": Annotated[float, Range(0, 1)],
            **_CONSTANT,
        },
    ),
    "radam": (
        "RAdam",
        "Adam with its first steps rectified (Liu et al. 2020).",
        {"lr": _RATE, "betas": _BETAS, "eps": _EPSILON, "weight_decay": _DECAY, **_CONSTANT},
    ),
    "rmsprop": (
        "RMSprop",
        "Gradients over the root of their running mean square (Hinton 2012).",
        {
            "lr": _RATE,
            "alpha": Annotated[float, Range(0, 0.99999), "how much of the mean square is kept"],
            "eps": _EPSILON,
            "weight_decay": _DECAY,
            "momentum": _MOMENTUM,
            **_CONSTANT,
        },
    ),
    "rprop": (
        "Rprop",
        "Steps by the gradient's sign alone, for whole batches (Riedmiller and Braun 1993).",
        {
            "lr": _RATE,
            "etas": Annotated[tuple[float, float], Range(1e-3, 10), "factors when the sign turns, and when it stays"],
            "step_sizes": Annotated[tuple[float, float], Range(0, 1000), "smallest and largest step"],
            **_CONSTANT,
        },
    ),
    "sgd": (
        "SGD",
        "Stochastic gradient descent, with momentum when that is above zero.",
        {
            "lr": _RATE,
            "momentum": _MOMENTUM,
            "dampening": Annotated[float, Range(0, 1), "share of the gradient that momentum leaves out"],
            "weight_decay": _DECAY,
            **_PLAIN,
        },
    ),
}


def register_all(register: Register) -> None:
    for name, (attribute, summary, parameters) in _TORCH.items():
        register(f"torch.optim:{attribute}", name, summary, **parameters)
    register("weft_basics.optimizers.muon:Muon", "muon")
    register("weft_basics.optimizers.em:EM", "em")
