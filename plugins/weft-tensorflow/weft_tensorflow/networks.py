"""Networks in plain TensorFlow. A model imports this where it computes, when `starting` has imported TensorFlow.

Weights begin at zero here; who makes a network says what they are. They have the shapes of torch's layers: what weft does to
weights, such as bounding the norm of those of a unit, goes by these.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import tensorflow as tf

from weft_tensorflow.activations import Activation


class Dense(tf.Module):
    """(N, ins) -> (N, outs)."""

    def __init__(self, ins: int, outs: int):
        super().__init__()
        self.weight = tf.Variable(tf.zeros((outs, ins)))
        self.bias = tf.Variable(tf.zeros(outs))

    def __call__(self, inputs: Any) -> Any:
        return tf.matmul(inputs, self.weight, transpose_b=True) + self.bias


class Convolution(tf.Module):
    """(N, height, width, ins) -> (N, height, width, outs), by a window of an odd side."""

    def __init__(self, ins: int, outs: int, side: int):
        super().__init__()
        self.weight = tf.Variable(tf.zeros((outs, ins, side, side)))
        self.bias = tf.Variable(tf.zeros(outs))

    def __call__(self, inputs: Any) -> Any:
        return tf.nn.conv2d(inputs, tf.transpose(self.weight, [2, 3, 1, 0]), strides=1, padding="SAME") + self.bias


class Perceptron(tf.Module):
    """Dense layers on the flattened sample, an activation after each: (N, …) -> (N, widths[-1])."""

    def __init__(self, widths: Sequence[int], activations: Sequence[Activation], output_activation: Activation):
        super().__init__()
        *hidden, output = [Dense(*pair) for pair in pairwise(widths)]
        self.hidden, self.output = hidden, output
        self.activations, self.output_activation = activations, output_activation
        self.size = widths[0]

    def __call__(self, inputs: Any) -> Any:
        units = tf.reshape(inputs, [-1, self.size])
        for layer, activation in zip(self.hidden, self.activations, strict=True):
            units = activation(layer(units))
        return self.output_activation(self.output(units))


class Convolutional(tf.Module):
    """Convolutions, an activation and a pooling after each, then a dense layer.

    (N, channels, height, width) -> (N, outputs).
    """

    def __init__(
        self, depths: Sequence[int], side: int, pooling: str, activations: Sequence[Activation], features: int, outputs: int
    ):
        super().__init__()
        self.convolutions = [Convolution(*pair, side) for pair in pairwise(depths)]
        self.activations = activations
        self.pool = {"max": tf.nn.max_pool2d, "average": tf.nn.avg_pool2d}[pooling]
        self.output = Dense(features, outputs)
        self.features = features

    def __call__(self, inputs: Any) -> Any:
        maps = tf.transpose(inputs, [0, 2, 3, 1])  # on a CPU TensorFlow knows only images whose channels come last
        for convolution, activation in zip(self.convolutions, self.activations, strict=True):
            maps = self.pool(activation(convolution(maps)), ksize=2, strides=2, padding="VALID")
        first = tf.transpose(maps, [0, 3, 1, 2])  # the dense layer's weights count the channels first, as torch does
        return self.output(tf.reshape(first, [-1, self.features]))
