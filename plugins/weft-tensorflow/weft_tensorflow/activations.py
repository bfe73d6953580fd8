"""weft's activations in TensorFlow: what a module of torch's computes, with its options, as a function of one tensor.

Values and slopes are torch's also in float64 and at the corners, so that runs can be held against each other. TensorFlow's own
gelu and leaky_relu round their constants to float32, and its clipping has a slope at the ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from weft_basics.activations.sine import sine
from weft_basics.activations.squared_relu import squared_relu
from weft_basics.activations.step import step
from weft_tensorflow.starting import tensorflow

Activation = Callable[[Any], Any]
Make = Callable[[], Activation]


def translated(module: nn.Module, model: str) -> Make:
    """Return what makes in TensorFlow what a module does in torch. Weights that the module has, it has as well, by name.

    Args:
        module: an activation, as weft builds it.
        model: who asks, for the message.

    Raises:
        ValueError: it is none of those that are known here.
    """
    function = getattr(module, "function", None)
    for known, make in _KNOWN.values():
        if function is known:
            options: Any = module.options
            return lambda: make(**options)
        if type(module) is known:
            return lambda: make(module)
    name = getattr(function, "__name__", type(module).__name__)
    raise ValueError(f"{model} computes in TensorFlow, and has no {name} there; it has {', '.join(_KNOWN)}")


def _bent(slope: float, depth: float, width: float) -> Activation:
    """Return slope · x where positive, depth · (exp(x / width) - 1) elsewhere."""
    tf = tensorflow()
    return lambda x: tf.where(x > 0, slope * x, depth * tf.math.expm1(tf.minimum(x, 0) / width))


def _softplus(module: nn.Softplus) -> Activation:
    tf = tensorflow()

    def softplus(x: Any) -> Any:
        scaled = module.beta * x
        return tf.where(scaled > module.threshold, x, tf.math.softplus(tf.minimum(scaled, module.threshold)) / module.beta)

    return softplus


def _gelu(module: nn.GELU) -> Activation:
    tf = tensorflow()
    if module.approximate == "tanh":
        return lambda x: 0.5 * x * (1 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return lambda x: 0.5 * x * tf.math.erfc(-math.sqrt(0.5) * x)


def _cut_off(low: float, high: float) -> Activation:
    tf = tensorflow()

    def cut_off(x: Any) -> Any:
        lowest, highest = tf.constant(low, x.dtype), tf.constant(high, x.dtype)
        return tf.where(x <= lowest, lowest, tf.where(x >= highest, highest, x))

    return cut_off


def _hard_sigmoid(module: Any) -> Activation:
    cut_off = _cut_off(-3, 3)
    return lambda x: cut_off(x) / 6 + 0.5


def _hard_swish(module: Any) -> Activation:
    hard_sigmoid = _hard_sigmoid(module)
    return lambda x: x * hard_sigmoid(x)


def _sloped(x: Any, slope: Any) -> Any:
    return tensorflow().where(x > 0, x, slope * x)


def _prelu(module: nn.PReLU) -> Activation:
    tf = tensorflow()

    class PReLU(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(tf.zeros(module.weight.shape))

        def __call__(self, x: Any) -> Any:
            return _sloped(x, self.weight)

    return PReLU()


def _mish(module: Any) -> Activation:
    tf = tensorflow()
    return lambda x: x * tf.tanh(tf.math.softplus(x))


def _soft_shrink(module: nn.Softshrink) -> Activation:
    tf = tensorflow()
    return lambda x: tf.where(tf.abs(x) > module.lambd, x - module.lambd * tf.sign(x), tf.zeros_like(x))


def _hard_shrink(module: nn.Hardshrink) -> Activation:
    tf = tensorflow()
    return lambda x: tf.where(tf.abs(x) > module.lambd, x, tf.zeros_like(x))


def _step(steepness: float) -> Activation:
    tf = tensorflow()

    def step(x: Any) -> Any:
        surrogate = tf.sigmoid(steepness * x)
        return tf.cast(x >= 0, x.dtype) + (surrogate - tf.stop_gradient(surrogate))

    return step


_SCALE, _ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717  # of selu, in the paper and in torch

_KNOWN: dict[str, tuple[Any, Callable[..., Activation]]] = {
    "identity": (nn.Identity, lambda module: lambda x: x),
    "sigmoid": (nn.Sigmoid, lambda module: tensorflow().sigmoid),
    "tanh": (nn.Tanh, lambda module: tensorflow().tanh),
    "log_sigmoid": (nn.LogSigmoid, lambda module: tensorflow().math.log_sigmoid),
    "hard_sigmoid": (nn.Hardsigmoid, _hard_sigmoid),
    "relu": (nn.ReLU, lambda module: tensorflow().nn.relu),
    "relu6": (nn.ReLU6, lambda module: tensorflow().nn.relu6),
    "leaky_relu": (nn.LeakyReLU, lambda module: lambda x: _sloped(x, module.negative_slope)),
    "prelu": (nn.PReLU, _prelu),
    "elu": (nn.ELU, lambda module: _bent(1, module.alpha, 1)),
    "celu": (nn.CELU, lambda module: _bent(1, module.alpha, module.alpha)),
    "selu": (nn.SELU, lambda module: _bent(_SCALE, _SCALE * _ALPHA, 1)),
    "gelu": (nn.GELU, _gelu),
    "silu": (nn.SiLU, lambda module: tensorflow().nn.silu),
    "hard_swish": (nn.Hardswish, _hard_swish),
    "mish": (nn.Mish, _mish),
    "softplus": (nn.Softplus, _softplus),
    "softsign": (nn.Softsign, lambda module: tensorflow().nn.softsign),
    "hard_tanh": (nn.Hardtanh, lambda module: _cut_off(module.min_val, module.max_val)),
    "softshrink": (nn.Softshrink, _soft_shrink),
    "hardshrink": (nn.Hardshrink, _hard_shrink),
    "tanhshrink": (nn.Tanhshrink, lambda module: lambda x: x - tensorflow().tanh(x)),
    "softmax": (nn.Softmax, lambda module: tensorflow().nn.softmax),
    "log_softmax": (nn.LogSoftmax, lambda module: tensorflow().nn.log_softmax),
    "step": (step, _step),
    "sine": (sine, lambda frequency: lambda x: tensorflow().sin(frequency * x)),
    "squared_relu": (squared_relu, lambda: lambda x: tensorflow().square(tensorflow().nn.relu(x))),
}
"""weft's activations by name: the module's class or the function, and what makes one in TensorFlow of the module."""
