"""Activations: torch's, as they are, and a step that can be trained through."""

from typing import Annotated, Any, Literal

from weft import Range, Register, fixed

_IN_PLACE = {"inplace": fixed(False)}

_TORCH: dict[str, tuple[str, str, dict[str, Any]]] = {
    "identity": ("Identity", "x: makes the layers around it one linear layer.", {}),
    "sigmoid": ("Sigmoid", "1 / (1 + exp(-x)), from 0 to 1.", {}),
    "tanh": ("Tanh", "tanh(x), from -1 to 1.", {}),
    "relu": ("ReLU", "max(0, x).", _IN_PLACE),
    "leaky_relu": (
        "LeakyReLU",
        "x where positive, negative_slope · x elsewhere.",
        {"negative_slope": Annotated[float, Range(0, 1)], **_IN_PLACE},
    ),
    "elu": (
        "ELU",
        "x where positive, alpha · (exp(x) - 1) elsewhere (Clevert et al. 2016).",
        {"alpha": Annotated[float, Range(0, 10)], **_IN_PLACE},
    ),
    "selu": ("SELU", "ELU scaled so that layers keep mean 0 and variance 1 (Klambauer et al. 2017).", _IN_PLACE),
    "gelu": (
        "GELU",
        "x times the normal distribution's cumulative function at x (Hendrycks and Gimpel 2016).",
        {"approximate": Annotated[Literal["none", "tanh"], "tanh: a faster formula that is off by up to 0.0005"]},
    ),
    "silu": ("SiLU", "x · sigmoid(x), also called swish.", _IN_PLACE),
    "mish": ("Mish", "x · tanh(softplus(x)) (Misra 2019).", _IN_PLACE),
    "softplus": (
        "Softplus",
        "log(1 + exp(beta · x)) / beta, a smooth ReLU.",
        {
            "beta": Annotated[float, Range(1e-2, 1e2, log=True)],
            "threshold": Annotated[float, Range(1, 100), "beta · x from which it is x"],
        },
    ),
    "softsign": ("Softsign", "x / (1 + |x|), from -1 to 1.", {}),
    "hard_tanh": (
        "Hardtanh",
        "x cut off below min_val and above max_val.",
        {
            "min_val": Annotated[float, Range(-100, 0)],
            "max_val": Annotated[float, Range(0, 100)],
            "min_value": fixed(None),
            "max_value": fixed(None),
            **_IN_PLACE,
        },
    ),
}


def register_all(register: Register) -> None:
    register("weft_basics.activations.step:step", "step")
    for name, (attribute, summary, parameters) in _TORCH.items():
        register(f"torch.nn:{attribute}", name, summary, **parameters)
