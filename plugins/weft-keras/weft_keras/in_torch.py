"""What the commonest of Keras's layers compute, in torch's own operations.

Keras's operations serve any backend: each converts what it is given, compares types and devices, and looks for symbols among
its arguments. Of a Dense layer on a small batch that is nine tenths of the time. What is here computes the same from the same
variables; a layer with an option that isn't met here is left to Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from weft_keras.backend import keras_on_torch

keras = keras_on_torch()
layers = keras.layers

Computed = Callable[..., Tensor | None]
"""Called with whether it is training, and what the layer's `call` is. None says that Keras is to do it."""


def in_torch(layer: Any) -> Computed | None:
    """Return what computes what a layer does, from the tensors of its variables; None where there is nothing here for it."""
    make = _LAYERS.get(type(layer))
    if make is None or not all(name in _MET or name.endswith(_OF_WEIGHTS) for name in layer.get_config()):
        return None
    return make(layer)


_MET = {
    *("activation", "dtype", "name", "seed", "trainable", "use_bias", "quantization_config"),
    *("units", "filters", "groups", "kernel_size", "depth_multiplier", "strides", "padding", "dilation_rate", "data_format"),
    *("pool_size", "keepdims", "rate", "noise_shape", "max_value", "negative_slope", "threshold"),
    *("axis", "center", "scale", "epsilon", "momentum", "synchronized", "rms_scaling"),
    *("renorm", "renorm_clipping", "renorm_momentum"),
    *("input_dim", "output_dim", "mask_zero"),
    *("dropout", "recurrent_activation", "recurrent_dropout", "reset_after", "unit_forget_bias", "unroll", "stateful"),
    *("go_backwards", "return_sequences", "return_state", "zero_output_for_mask"),
    *("num_heads", "key_dim", "value_dim", "output_shape", "attention_axes", "sliding_window", "use_gate"),
}
"""The options that are reckoned with below. A layer of a later Keras that has another one is left to Keras."""
_OF_WEIGHTS = ("_initializer", "_regularizer", "_constraint")


def _dense(layer: Any) -> Computed | None:
    if layer.lora_enabled:
        return None
    kernel, bias, activation = layer.kernel, layer.bias, _activation(layer.activation)

    def dense(_: bool, inputs: Tensor) -> Tensor:
        found = functional.linear(inputs, kernel.tensor.t(), None if bias is None else bias.tensor)
        return found if activation is None else activation(found)

    return dense


def _convolution(layer: Any) -> Computed | None:
    padding = _padding(layer)
    if layer.lora_enabled or padding is None:
        return None
    kernel, bias, activation = layer.kernel, layer.bias, _activation(layer.activation)
    convolve: Any = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[layer.rank]
    order = (layer.rank + 1, layer.rank, *range(layer.rank))
    strides, dilation, groups = layer.strides, layer.dilation_rate, layer.groups

    def convolution(_: bool, inputs: Tensor) -> Tensor:
        weight, shift = kernel.tensor.permute(order), None if bias is None else bias.tensor
        found = convolve(inputs, weight, shift, strides, padding, dilation, groups)
        return found if activation is None else activation(found)

    return convolution


def _depthwise(layer: Any) -> Computed | None:
    padding = _padding(layer)
    if padding is None:
        return None
    kernel, bias, activation = layer.kernel, layer.bias, _activation(layer.activation)
    strides, dilation = layer.strides, layer.dilation_rate

    def depthwise(_: bool, inputs: Tensor) -> Tensor:
        weight = kernel.tensor.flatten(2).unsqueeze(2).permute(3, 2, 0, 1)
        shift = None if bias is None else bias.tensor
        found = functional.conv2d(inputs, weight, shift, strides, padding, dilation, inputs.shape[1])
        return found if activation is None else activation(found)

    return depthwise


def _padding(layer: Any) -> tuple[int, ...] | None:
    """Return by how much both ends of each side are padded; None where they differ, or the channels come last."""
    if layer.data_format != "channels_first":
        return None
    rank: int = layer.rank
    if layer.padding == "valid":
        return (0,) * rank
    spans = [dilation * (size - 1) for dilation, size in zip(layer.dilation_rate, layer.kernel_size, strict=True)]
    even = layer.padding == "same" and all(stride == 1 for stride in layer.strides) and all(span % 2 == 0 for span in spans)
    return tuple(span // 2 for span in spans) if even else None


def _pooling(layer: Any) -> Computed | None:
    if layer.data_format != "channels_first" or layer.padding != "valid":
        return None
    pool = functional.max_pool2d if isinstance(layer, layers.MaxPooling2D) else functional.avg_pool2d
    size, strides = layer.pool_size, layer.strides
    return lambda _, inputs: pool(inputs, size, strides)


def _global_average(layer: Any) -> Computed:
    axes, keepdims = ((2, 3) if layer.data_format == "channels_first" else (1, 2)), layer.keepdims
    return lambda _, inputs: inputs.mean(axes, keepdims)


def _batch_normalization(layer: Any) -> Computed | None:
    if getattr(layer, "renorm", False) or layer.synchronized or layer.input_spec is None:
        return None
    if layer.axis % layer.input_spec.ndim != 1:  # where torch has the channels
        return None
    gamma, beta, mean, variance = layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance
    share, epsilon = 1 - layer.momentum, layer.epsilon

    def batch_normalization(training: bool, inputs: Tensor) -> Tensor:
        scale, shift = None if gamma is None else gamma.tensor, None if beta is None else beta.tensor
        if not (training and layer.trainable):
            return functional.batch_norm(inputs, mean.tensor, variance.tensor, scale, shift, False, 0.0, epsilon)
        found, of_batch, inverse = torch.native_batch_norm(inputs, scale, shift, None, None, True, 0.0, epsilon)
        with torch.no_grad():  # torch would keep the variance of a sample, Keras keeps that of the batch as it is
            mean.tensor.lerp_(of_batch.to(mean.tensor.dtype), share)
            variance.tensor.lerp_((inverse**-2 - epsilon).to(variance.tensor.dtype), share)
        return found

    return batch_normalization


def _layer_normalization(layer: Any) -> Computed | None:
    gamma, beta, epsilon = layer.gamma, layer.beta, layer.epsilon
    sizes = tuple((gamma if gamma is not None else beta).shape) if gamma is not None or beta is not None else None
    if layer.rms_scaling or sizes is None or list(layer.axis) != [-1]:
        return None

    def layer_normalization(_: bool, inputs: Tensor) -> Tensor:
        scale, shift = None if gamma is None else gamma.tensor, None if beta is None else beta.tensor
        return functional.layer_norm(inputs, sizes, scale, shift, epsilon)

    return layer_normalization


def _dropout(layer: Any) -> Computed | None:
    if layer.seed is not None or layer.noise_shape is not None:
        return None
    rate = layer.rate
    return lambda training, inputs: functional.dropout(inputs, rate) if training and rate > 0 else inputs


def _flatten(layer: Any) -> Computed:
    if layer.data_format == "channels_last":
        return lambda _, inputs: inputs.flatten(1)
    return lambda _, inputs: inputs.movedim(1, -1).flatten(1)


def _zero_padding(layer: Any) -> Computed | None:
    if layer.data_format != "channels_first":
        return None
    (top, bottom), (left, right) = layer.padding
    return lambda _, inputs: functional.pad(inputs, (left, right, top, bottom))


def _embedding(layer: Any) -> Computed | None:
    if layer.lora_enabled:
        return None
    table = layer.embeddings
    return lambda _, tokens: functional.embedding(tokens.long(), table.tensor)


def _activated(layer: Any) -> Computed:
    activation = _activation(layer.activation)
    return lambda _, inputs: inputs if activation is None else activation(inputs)


def _relu(layer: Any) -> Computed | None:
    if layer.negative_slope or layer.threshold or layer.max_value not in (None, 6):
        return None
    activation = functional.relu if layer.max_value is None else functional.relu6
    return lambda _, inputs: activation(inputs)


def _add(layer: Any) -> Computed:
    def add(_: bool, inputs: list[Tensor]) -> Tensor | None:
        if any(one.ndim != inputs[0].ndim for one in inputs):
            return None
        found = inputs[0]
        for one in inputs[1:]:
            found = found + one
        return found

    return add


def _attention(layer: Any) -> Computed | None:
    projections = (layer._query_dense, layer._key_dense, layer._value_dense, layer._output_dense)
    special = layer.dropout or any(getattr(layer, name, None) for name in ("_use_gate", "_sliding_window", "_flash_attention"))
    if special or len(layer._attention_axes) != 1 or any(one.lora_enabled for one in projections):
        return None
    kernels, biases = [one.kernel for one in projections], [one.bias for one in projections]
    heads, scale = layer.num_heads, layer._inverse_sqrt_key_dim

    def projected(entering: Tensor, which: int) -> Tensor:
        kernel, bias = kernels[which].tensor, biases[which]
        found = functional.linear(entering, kernel.flatten(1).t(), None if bias is None else bias.tensor.flatten())
        return found.reshape(*found.shape[:2], heads, -1).transpose(1, 2)

    def attention(
        _: bool,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        attention_mask: Tensor | None = None,
        use_causal_mask: bool = False,
    ) -> Tensor | None:
        output, bias = kernels[3].tensor, biases[3]
        if query.ndim != 3 or output.ndim != 3:
            return None
        queries, keys, values = projected(query, 0), projected(value if key is None else key, 1), projected(value, 2)
        mask = None if attention_mask is None else attention_mask.bool().unsqueeze(1)
        if mask is not None:
            if use_causal_mask:
                mask = mask & mask.new_ones(queries.shape[2], keys.shape[2]).tril()
            # Of a step that may look nowhere Keras makes a mean, where torch has no number for it.
            mask = queries.new_zeros(mask.shape).masked_fill(~mask, torch.finfo(queries.dtype).min / 2)
        causal = use_causal_mask and mask is None
        found = functional.scaled_dot_product_attention(queries, keys, values, mask, is_causal=causal, scale=scale)
        attended = found.transpose(1, 2).flatten(2)
        return functional.linear(attended, output.flatten(0, 1).t(), None if bias is None else bias.tensor)

    return attention


def _recurrent(layer: Any) -> Computed | None:
    """The sequence at once, by torch's kernel, on a CPU. On a GPU Keras takes that of cuDNN itself."""
    if type(layer) in _GATED and (
        layer.recurrent_activation is not keras.activations.sigmoid or not getattr(layer, "reset_after", True)
    ):
        return None
    plain = layer.activation is keras.activations.tanh and layer.use_bias and not layer.dropout and not layer.recurrent_dropout
    if not plain or layer.stateful or layer.return_state or layer.unroll or layer.go_backwards:
        return None
    cell, units, whole = layer.cell, layer.units, layer.return_sequences
    kernel, recurrent, bias = cell.kernel, cell.recurrent_kernel, cell.bias
    run, weights = _KERNELS[type(layer)]

    def sequence(training: bool, inputs: Tensor) -> Tensor | None:
        if inputs.device.type != "cpu":
            return None
        start = inputs.new_zeros(1, inputs.shape[0], units)
        parameters = weights(kernel.tensor, recurrent.tensor, bias.tensor)
        state: Any = (start, start) if run is torch.lstm else start
        states: Tensor = run(inputs, state, parameters, True, 1, 0.0, training, False, True)[0]
        return states if whole else states[:, -1]

    return sequence


def _as_they_are(kernel: Tensor, recurrent: Tensor, bias: Tensor) -> list[Tensor]:
    return [kernel.t(), recurrent.t(), bias, torch.zeros_like(bias)]


def _of_gru(kernel: Tensor, recurrent: Tensor, bias: Tensor) -> list[Tensor]:
    """Keras has the gates as update, reset, new; torch as reset, update, new."""
    both = [torch.cat([value[gate] for gate in (1, 0, 2)]) for value in (x.t().chunk(3) for x in (kernel, recurrent))]
    return [*both, *(torch.cat([value[gate] for gate in (1, 0, 2)]) for value in (x.chunk(3) for x in bias))]


_GATED = (layers.LSTM, layers.GRU)
_KERNELS: dict[type, tuple[Any, Callable[[Tensor, Tensor, Tensor], list[Tensor]]]] = {
    layers.LSTM: (torch.lstm, _as_they_are),
    layers.GRU: (torch.gru, _of_gru),
    layers.SimpleRNN: (torch.rnn_tanh, _as_they_are),
}

_ACTIVATIONS: dict[Any, Callable[[Tensor], Tensor]] = {
    keras.activations.relu: functional.relu,
    keras.activations.relu6: functional.relu6,
    keras.activations.tanh: torch.tanh,
    keras.activations.sigmoid: torch.sigmoid,
    keras.activations.gelu: functional.gelu,
    keras.activations.silu: functional.silu,
    keras.activations.elu: functional.elu,
    keras.activations.selu: functional.selu,
    keras.activations.softplus: functional.softplus,
    keras.activations.softsign: functional.softsign,
    keras.activations.softmax: lambda inputs: inputs.softmax(-1),
}


def _activation(function: Any) -> Callable[[Tensor], Tensor] | None:
    if function is None or function is keras.activations.linear:
        return None
    found: Callable[[Tensor], Tensor] = _ACTIVATIONS.get(function, function)
    return found


_LAYERS: dict[type, Callable[[Any], Computed | None]] = {
    layers.Dense: _dense,
    layers.Conv1D: _convolution,
    layers.Conv2D: _convolution,
    layers.Conv3D: _convolution,
    layers.DepthwiseConv2D: _depthwise,
    layers.MaxPooling2D: _pooling,
    layers.AveragePooling2D: _pooling,
    layers.GlobalAveragePooling2D: _global_average,
    layers.BatchNormalization: _batch_normalization,
    layers.LayerNormalization: _layer_normalization,
    layers.Dropout: _dropout,
    layers.Flatten: _flatten,
    layers.ZeroPadding2D: _zero_padding,
    layers.Embedding: _embedding,
    layers.Activation: _activated,
    layers.ReLU: _relu,
    layers.Add: _add,
    layers.LSTM: _recurrent,
    layers.GRU: _recurrent,
    layers.SimpleRNN: _recurrent,
    layers.MultiHeadAttention: _attention,
}
