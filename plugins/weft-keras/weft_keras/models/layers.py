"""A model that is a list of Keras's layers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from weft import did_you_mean
from weft_basics.models.steps import is_at_each_step
from weft_keras.backend import settings_of_a_model
from weft_keras.initialisation import seeded_by_torch

if TYPE_CHECKING:
    from weft_keras.model import KerasModel

Value = float | bool | str | list[float] | dict[str, float] | None
Chosen = str | dict[str, dict[str, Value] | None]

LAYERS = {
    "activation": "Activation",
    "activity_regularization": "ActivityRegularization",
    "alpha_dropout": "AlphaDropout",
    "average_pooling1d": "AveragePooling1D",
    "average_pooling2d": "AveragePooling2D",
    "batch_normalization": "BatchNormalization",
    "conv1d": "Conv1D",
    "conv1d_transpose": "Conv1DTranspose",
    "conv2d": "Conv2D",
    "conv2d_transpose": "Conv2DTranspose",
    "conv_lstm1d": "ConvLSTM1D",
    "cropping1d": "Cropping1D",
    "cropping2d": "Cropping2D",
    "dense": "Dense",
    "depthwise_conv1d": "DepthwiseConv1D",
    "depthwise_conv2d": "DepthwiseConv2D",
    "dropout": "Dropout",
    "elu": "ELU",
    "embedding": "Embedding",
    "flatten": "Flatten",
    "gaussian_dropout": "GaussianDropout",
    "gaussian_noise": "GaussianNoise",
    "global_average_pooling1d": "GlobalAveragePooling1D",
    "global_average_pooling2d": "GlobalAveragePooling2D",
    "global_max_pooling1d": "GlobalMaxPooling1D",
    "global_max_pooling2d": "GlobalMaxPooling2D",
    "group_normalization": "GroupNormalization",
    "gru": "GRU",
    "layer_normalization": "LayerNormalization",
    "leaky_relu": "LeakyReLU",
    "lstm": "LSTM",
    "masking": "Masking",
    "max_pooling1d": "MaxPooling1D",
    "max_pooling2d": "MaxPooling2D",
    "permute": "Permute",
    "prelu": "PReLU",
    "relu": "ReLU",
    "repeat_vector": "RepeatVector",
    "rescaling": "Rescaling",
    "reshape": "Reshape",
    "resizing": "Resizing",
    "rms_normalization": "RMSNormalization",
    "separable_conv1d": "SeparableConv1D",
    "separable_conv2d": "SeparableConv2D",
    "simple_rnn": "SimpleRNN",
    "softmax": "Softmax",
    "spatial_dropout1d": "SpatialDropout1D",
    "spatial_dropout2d": "SpatialDropout2D",
    "unit_normalization": "UnitNormalization",
    "up_sampling1d": "UpSampling1D",
    "up_sampling2d": "UpSampling2D",
    "zero_padding1d": "ZeroPadding1D",
    "zero_padding2d": "ZeroPadding2D",
}
"""The layers that can be named, and Keras's classes. None of them calls what it is given."""

_NOT_OPTIONS = ("self", "args", "kwargs", "dtype", "return_state", "stateful", "lora_rank", "lora_alpha", "quantization_config")
_OF_EVERY_LAYER = ("name", "trainable", "activity_regularizer")


def layers(
    inputs: tuple[int, ...],
    outputs: int,
    vocabulary: int | None = None,
    task: str = "classification",
    layers: Annotated[
        list[Chosen], "Keras's layers by name, each with its options: [{dense: {units: 32, activation: relu}}, flatten]"
    ] = [{"dense": {"units": 64, "activation": "relu"}}],  # noqa: B006 - never changed
) -> KerasModel:
    """Keras's layers one after the other, by name and with Keras's own options, then a Dense layer that answers.

    (N, *inputs) -> (N, outputs), or (N, length, outputs) where the task asks at each step. Names are Keras's in snake_case,
    options are Keras's, and so is what they can be: activations, initialisers and constraints by name, regularizers by name or
    as {l1: 0.01, l2: 0.01}. Images have their channels first, sequences their features last. What isn't flat where the last
    layer comes is flattened. Where the samples are tokens the first layer is an embedding, which knows the vocabulary. Losses
    that layers have of their own reach the loss with regularizer=keras_own.

    Raises:
        ValueError: a layer or an option that there isn't, or that Keras refuses here; says which layer.
    """
    listed = [_read(number, item) for number, item in enumerate(layers)]
    if vocabulary is not None and not (listed and listed[0][1] == "embedding"):
        raise ValueError("this dataset's samples are tokens, and only an embedding takes those: begin layers with embedding")
    images = len(inputs) == 3
    with settings_of_a_model("first" if images else "last") as keras, seeded_by_torch():
        from weft_keras.model import KerasModel

        entering = found = keras.Input(inputs, dtype="float32" if vocabulary is None else "int64")
        for place, name, options in listed:
            if name == "embedding":
                options = _of_vocabulary(place, options, vocabulary)
            found = _put(keras, place, name, options, found)
        if is_at_each_step(task):
            if len(found.shape) != 3:
                shape = list(found.shape[1:])
                raise ValueError(f"{task} asks for an answer at each step, and what the layers leave is {shape}, no sequence")
        elif len(found.shape) != 2:
            found = keras.layers.Flatten(name="flat")(found)
        scores = keras.layers.Dense(outputs, name="output")(found)
        return KerasModel(keras.Model(entering, scores, name="keras_layers"))


def _read(number: int, item: Any) -> tuple[str, str, dict[str, Any]]:
    """Return a layer's place in words, its name and its options.

    Raises:
        ValueError: it isn't one layer, or none that there is.
    """
    place = f"layers[{number}]"
    if isinstance(item, Mapping) and len(item) != 1:
        raise ValueError(f"{place} names {len(item)} layers: {{NAME: {{OPTION: VALUE}}}} is what one looks like")
    name, options = next(iter(item.items())) if isinstance(item, Mapping) else (item, None)
    if name not in LAYERS:
        raise ValueError(f"{place}: there is no layer {name!r}{did_you_mean(name, LAYERS)}; there are {', '.join(LAYERS)}")
    return f"{place} ({name})", name, dict(options or {})


def _of_vocabulary(place: str, options: dict[str, Any], vocabulary: int | None) -> dict[str, Any]:
    if vocabulary is None:
        raise ValueError(f"{place}: an embedding takes tokens, and this dataset's samples are numbers")
    return {"input_dim": vocabulary, **options}


def _put(keras: Any, place: str, name: str, options: Mapping[str, Any], entering: Any) -> Any:
    """Return what a layer makes of what enters it.

    Raises:
        ValueError: an option that it hasn't, or what Keras refuses.
    """
    kind = getattr(keras.layers, LAYERS[name])
    known = [*_options(kind), *_OF_EVERY_LAYER]
    for option in options:
        if option not in known:
            raise ValueError(f"{place} has no option {option!r}{did_you_mean(option, known)}; there are {', '.join(known)}")
    given = {option: _value(keras, f"{place}: {option}", option, value) for option, value in options.items()}
    try:
        return kind(**given)(entering)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:  # Keras checks some, and runs into others
        raise ValueError(f"{place}: {_said(error)}") from error


def _options(kind: Any) -> Iterator[str]:
    parameters = inspect.signature(kind.__init__).parameters
    return (name for name in parameters if name not in (*_NOT_OPTIONS, *_OF_EVERY_LAYER))


def _value(keras: Any, place: str, option: str, value: Any) -> Any:
    """Return an option's value as Keras takes it: a number without a fraction as a whole one, a list as a tuple."""
    if isinstance(value, Mapping):
        if not option.endswith("regularizer") or not set(value) <= {"l1", "l2"}:
            raise ValueError(f"{place}: {dict(value)} is no value; only a regularizer has parts, {{l1: NUMBER, l2: NUMBER}}")
        return keras.regularizers.L1L2(**value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_value(keras, place, option, item) for item in value)
    return value


def _said(error: Exception) -> str:
    """Return what Keras said: where it tells of a call, that is the line after, in bold."""
    lines = [line.strip() for line in str(error).replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("Exception encountered")), type(error).__name__)
