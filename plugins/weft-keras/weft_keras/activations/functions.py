"""Keras's activations, each number by itself, but for the softmaxes, which are over the last dimension. All raise ValueError
where Keras can't be had with torch."""

from __future__ import annotations

from typing import Annotated, Any

from torch import Tensor

from weft import Range
from weft_keras.backend import computing, keras_on_torch

Slope = Annotated[float, Range(0, 1), "slope below"]
Alpha = Annotated[float, Range(1e-2, 1e2, log=True), "how far down it goes"]


def celu(x: Tensor, alpha: Alpha = 1.0) -> Tensor:
    """Keras's celu: x where positive, alpha · (exp(x / alpha) - 1) elsewhere."""
    return _applied("celu", x, alpha=alpha)


def elu(x: Tensor, alpha: Annotated[float, Range(0, 10), "how far down it goes"] = 1.0) -> Tensor:
    """Keras's elu: x where positive, alpha · (exp(x) - 1) elsewhere."""
    return _applied("elu", x, alpha=alpha)


def exponential(x: Tensor) -> Tensor:
    """Keras's exponential: exp(x)."""
    return _applied("exponential", x)


def gelu(x: Tensor, approximate: Annotated[bool, "by a faster formula with tanh"] = False) -> Tensor:
    """Keras's gelu: x times the normal distribution's cumulative function at x."""
    return _applied("gelu", x, approximate=approximate)


def hard_shrink(x: Tensor, threshold: Annotated[float, Range(0, 10), "size up to which x becomes 0"] = 0.5) -> Tensor:
    """Keras's hard_shrink: x where |x| is above threshold, else 0."""
    return _applied("hard_shrink", x, threshold=threshold)


def hard_sigmoid(x: Tensor) -> Tensor:
    """Keras's hard_sigmoid: min(1, max(0, x / 6 + 1 / 2))."""
    return _applied("hard_sigmoid", x)


def hard_silu(x: Tensor) -> Tensor:
    """Keras's hard_silu: x · hard_sigmoid(x)."""
    return _applied("hard_silu", x)


def hard_tanh(x: Tensor) -> Tensor:
    """Keras's hard_tanh: x cut off below -1 and above 1."""
    return _applied("hard_tanh", x)


def leaky_relu(x: Tensor, negative_slope: Slope = 0.2) -> Tensor:
    """Keras's leaky_relu: x where positive, negative_slope · x elsewhere."""
    return _applied("leaky_relu", x, negative_slope=negative_slope)


def linear(x: Tensor) -> Tensor:
    """Keras's linear: x as it is."""
    return _applied("linear", x)


def log_sigmoid(x: Tensor) -> Tensor:
    """Keras's log_sigmoid: log(1 / (1 + exp(-x)))."""
    return _applied("log_sigmoid", x)


def log_softmax(x: Tensor) -> Tensor:
    """Keras's log_softmax: x - log of the sum of all exp(x) of a sample."""
    return _applied("log_softmax", x)


def mish(x: Tensor) -> Tensor:
    """Keras's mish: x · tanh(softplus(x))."""
    return _applied("mish", x)


def relu(
    x: Tensor,
    negative_slope: Slope = 0.0,
    max_value: Annotated[float | None, Range(0.1, 1e3, log=True), "where it is cut off; null: nowhere"] = None,
    threshold: Annotated[float, Range(-10, 10), "from where on x is let through"] = 0.0,
) -> Tensor:
    """Keras's relu: max(0, x), or with a slope below, a limit above, or a threshold that isn't 0."""
    return _applied("relu", x, negative_slope=negative_slope, max_value=max_value, threshold=threshold)


def relu6(x: Tensor) -> Tensor:
    """Keras's relu6: min(6, max(0, x))."""
    return _applied("relu6", x)


def selu(x: Tensor) -> Tensor:
    """Keras's selu: an elu scaled so that layers keep mean 0 and variance 1."""
    return _applied("selu", x)


def sigmoid(x: Tensor) -> Tensor:
    """Keras's sigmoid: 1 / (1 + exp(-x))."""
    return _applied("sigmoid", x)


def silu(x: Tensor) -> Tensor:
    """Keras's silu: x · sigmoid(x)."""
    return _applied("silu", x)


def soft_shrink(x: Tensor, threshold: Annotated[float, Range(0, 10), "size up to which x becomes 0"] = 0.5) -> Tensor:
    """Keras's soft_shrink: x brought nearer to 0 by threshold, and 0 where it is not farther."""
    return _applied("soft_shrink", x, threshold=threshold)


def softmax(x: Tensor) -> Tensor:
    """Keras's softmax: exp(x) / sum of all exp(x) of a sample."""
    return _applied("softmax", x)


def softplus(x: Tensor) -> Tensor:
    """Keras's softplus: log(1 + exp(x))."""
    return _applied("softplus", x)


def softsign(x: Tensor) -> Tensor:
    """Keras's softsign: x / (1 + |x|)."""
    return _applied("softsign", x)


def sparse_plus(x: Tensor) -> Tensor:
    """Keras's sparse_plus: 0 below -1, (x + 1)² / 4 between, x above 1."""
    return _applied("sparse_plus", x)


def sparse_sigmoid(x: Tensor) -> Tensor:
    """Keras's sparse_sigmoid: 0 below -1, (x + 1) / 2 between, 1 above 1."""
    return _applied("sparse_sigmoid", x)


def sparsemax(x: Tensor) -> Tensor:
    """Keras's sparsemax: the probabilities that are nearest to x, many of them exactly 0 (Martins and Astudillo 2016)."""
    return _applied("sparsemax", x)


def squareplus(x: Tensor, b: Annotated[float, Range(0, 100), "how round the corner is"] = 4.0) -> Tensor:
    """Keras's squareplus: (x + sqrt(x² + b)) / 2."""
    return _applied("squareplus", x, b=b)


def tanh(x: Tensor) -> Tensor:
    """Keras's tanh: from -1 to 1."""
    return _applied("tanh", x)


def tanh_shrink(x: Tensor) -> Tensor:
    """Keras's tanh_shrink: x - tanh(x)."""
    return _applied("tanh_shrink", x)


def threshold(
    x: Tensor,
    threshold: Annotated[float, Range(-10, 10), "up to where x is replaced"] = 0.0,
    default_value: Annotated[float, Range(-10, 10), "what replaces it"] = 0.0,
) -> Tensor:
    """Keras's threshold: x where it is above threshold, else default_value."""
    return _applied("threshold", x, threshold=threshold, default_value=default_value)


def _applied(name: str, x: Tensor, **options: Any) -> Tensor:
    function = getattr(keras_on_torch().activations, name)
    with computing(x.device, x.dtype):
        found: Tensor = function(x, **options)
    return found
