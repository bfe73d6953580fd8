"""Activations, by name: torch's, and the step that it hasn't."""

from typing import Annotated, Any

from weft import Range, fixed

_PLAIN = {
    "identity": "Identity",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "softsign": "Softsign",
    "log_sigmoid": "LogSigmoid",
    "tanh_shrink": "Tanhshrink",
}
_IN_PLACE = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "selu": "SELU",
    "silu": "SiLU",
    "mish": "Mish",
    "hard_swish": "Hardswish",
    "hard_sigmoid": "Hardsigmoid",
}
_SLOPE = Annotated[float, Range(0, 1)]
_SCALE = Annotated[float, Range(1e-3, 100, log=True)]


def register_activations(register: Any) -> None:
    """Offer each under its name."""
    register("weft_basics.activations.step:Step", name="step")
    for name, attribute in _PLAIN.items():
        register(f"torch.nn:{attribute}", name=name)
    for name, attribute in _IN_PLACE.items():
        register(f"torch.nn:{attribute}", name=name, inplace=fixed(False))
    register("torch.nn:GELU", name="gelu")
    register("torch.nn:LeakyReLU", name="leaky_relu", negative_slope=_SLOPE, inplace=fixed(False))
    register("torch.nn:ELU", name="elu", alpha=_SCALE, inplace=fixed(False))
    register("torch.nn:CELU", name="celu", alpha=_SCALE, inplace=fixed(False))
    register("torch.nn:PReLU", name="prelu", num_parameters=fixed(1), init=_SLOPE)
    register("torch.nn:Softplus", name="softplus", beta=_SCALE, threshold=fixed(20.0))
    register("torch.nn:Hardtanh", name="hard_tanh", min_val=fixed(-1.0), max_val=fixed(1.0), inplace=fixed(False))
