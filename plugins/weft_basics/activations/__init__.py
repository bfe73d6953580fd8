"""Activations, each number by itself: torch's, as they are, a step that can be trained through, a sine and a square.

softmax and log_softmax are over the last dimension, the classes: a model's last step, where a loss takes what they give.
"""

from typing import Annotated, Any, Literal

from weft import Range, Register, fixed

_IN_PLACE = {"inplace": fixed(False)}
_CLASSES = {"dim": fixed(-1)}
_THRESHOLD = {"lambd": Annotated[float, Range(0, 10), "size up to which x becomes 0"]}

_TORCH: dict[str, tuple[str, str, dict[str, Any]]] = {
    "identity": ("Identity", "x: makes the layers around it one linear layer.", {}),
    "sigmoid": ("Sigmoid", "1 / (1 + exp(-x)), from 0 to 1.", {}),
    "tanh": ("Tanh", "tanh(x), from -1 to 1.", {}),
    "log_sigmoid": ("LogSigmoid", "-log(1 + exp(-x)), below 0.", {}),
    "hard_sigmoid": ("Hardsigmoid", "min(1, max(0, x / 6 + 1 / 2)), a sigmoid of straight lines.", _IN_PLACE),
    "relu": ("ReLU", "max(0, x).", _IN_PLACE),
    "relu6": ("ReLU6", "min(6, max(0, x)) (Krizhevsky 2010).", _IN_PLACE),
    "leaky_relu": (
        "LeakyReLU",
        "x where positive, negative_slope · x elsewhere.",
        {"negative_slope": Annotated[float, Range(0, 1)], **_IN_PLACE},
    ),
    "prelu": (
        "PReLU",
        "x where positive, a · x elsewhere, with one a for each layer that is learned (He et al., 2015).",
        {
            "num_parameters": fixed(1),
            "init": Annotated[float, Range(-1, 1), "a at the start"],
            "device": fixed(None),
            "dtype": fixed(None),
        },
    ),
    "elu": (
        "ELU",
        "x where positive, alpha · (exp(x) - 1) elsewhere (Clevert et al., 2016).",
        {"alpha": Annotated[float, Range(0, 10)], **_IN_PLACE},
    ),
    "celu": (
        "CELU",
        "x where positive, alpha · (exp(x / alpha) - 1) elsewhere: an ELU without a corner (Barron 2017).",
        {"alpha": Annotated[float, Range(1e-2, 1e2, log=True)], **_IN_PLACE},
    ),
    "selu": ("SELU", "ELU scaled so that layers keep mean 0 and variance 1 (Klambauer et al., 2017).", _IN_PLACE),
    "gelu": (
        "GELU",
        "x times the normal distribution's cumulative function at x (Hendrycks and Gimpel 2016).",
        {"approximate": Annotated[Literal["none", "tanh"], "tanh: a faster formula that is off by up to 0.0005"]},
    ),
    "silu": ("SiLU", "x · sigmoid(x), also called swish.", _IN_PLACE),
    "hard_swish": (
        "Hardswish",
        "x · min(1, max(0, x / 6 + 1 / 2)), a swish without an exponential (Howard et al., 2019).",
        _IN_PLACE,
    ),
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
    "softshrink": (
        "Softshrink",
        "x brought nearer to 0 by lambd, and 0 where it is not farther (Donoho 1995).",
        _THRESHOLD,
    ),
    "hardshrink": ("Hardshrink", "x where |x| is above lambd, else 0 (Donoho and Johnstone 1994).", _THRESHOLD),
    "tanhshrink": ("Tanhshrink", "x - tanh(x).", {}),
    "softmax": ("Softmax", "exp(x) / sum of all exp(x) of a sample: probabilities, as a model's last step.", _CLASSES),
    "log_softmax": (
        "LogSoftmax",
        "x - log of the sum of all exp(x) of a sample: log-probabilities, as the loss nll takes them.",
        _CLASSES,
    ),
}


def register_all(register: Register) -> None:
    for own in ("step", "sine", "squared_relu"):
        register(f"weft_basics.activations.{own}:{own}", own)
    for name, (attribute, summary, parameters) in _TORCH.items():
        register(f"torch.nn:{attribute}", name, summary, **parameters)
