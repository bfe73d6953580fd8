"""Modules of TensorFlow's as people write them: with dropout, with state, with a tf.function of their own."""

from __future__ import annotations

from typing import Any

from weft_tensorflow.starting import tensorflow

tf = tensorflow()


class Dropped(tf.Module):
    """Two layers with dropout between them."""

    def __init__(self, inputs: int, outputs: int, rate: float = 0.5):
        super().__init__()
        self.layers = [tf.Variable(tf.random.normal((inputs, 16)) / 3), tf.Variable(tf.random.normal((16, outputs)) / 4)]
        self.rate = rate

    def __call__(self, inputs: Any, training: bool, seed: Any) -> Any:
        units = tf.nn.relu(inputs @ self.layers[0])
        if training:
            units = tf.nn.experimental.stateless_dropout(units, self.rate, seed)
        return units @ self.layers[1]


class Normalized(tf.Module):
    """A layer, batch normalization with a count of its batches, a layer; traced by a tf.function of its own."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first = tf.Variable(tf.random.normal((inputs, 8)) / 3)
        self.last = {"kernel": tf.Variable(tf.random.normal((8, outputs)) / 3), "bias": tf.Variable(tf.zeros(outputs))}
        self.mean = tf.Variable(tf.zeros(8), trainable=False)
        self.variance = tf.Variable(tf.ones(8), trainable=False)
        self.batches = tf.Variable(0, dtype=tf.int64, trainable=False)

    @tf.function
    def __call__(self, inputs: Any, training: bool = False) -> Any:
        units = inputs @ self.first
        mean, variance = self.mean, self.variance
        if training:
            mean = tf.reduce_mean(units, 0)
            variance = tf.reduce_mean(tf.square(units - mean), 0)  # tf.nn.moments has no right second derivative
            self.mean.assign(0.9 * self.mean + 0.1 * mean)
            self.variance.assign(0.9 * self.variance + 0.1 * variance)
            self.batches.assign_add(1)
        units = tf.nn.tanh(tf.nn.batch_normalization(units, mean, variance, None, None, 1e-5))
        return units @ self.last["kernel"] + self.last["bias"]


class Looped(tf.Module):
    """A recurrent network over tokens, with a loop that autograph turns into one of TensorFlow's."""

    def __init__(self, vocabulary: int, outputs: int):
        super().__init__()
        self.table = tf.Variable(tf.random.normal((vocabulary, 5)))
        self.state = tf.Variable(tf.random.normal((5, 5)) / 3)
        self.output = tf.Variable(tf.random.normal((5, outputs)) / 2)

    def __call__(self, inputs: Any) -> Any:
        state = tf.zeros((tf.shape(inputs)[0], 5), self.table.dtype)
        step = 0
        while step < tf.shape(inputs)[1]:
            state = tf.tanh(state @ self.state + tf.gather(self.table, inputs[:, step]))
            step += 1
        return state @ self.output
