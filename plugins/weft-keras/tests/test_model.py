"""A Keras model as a torch module."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from weft_keras import KerasModel, keras
from weft_keras.backend import settings_of_a_model

layers = keras.layers


def made(*parts: Any, inputs: tuple[int, ...] = (6,)) -> KerasModel:
    with settings_of_a_model():
        return KerasModel(keras.Sequential([keras.Input(inputs), *parts]))


def batch(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_parameters_and_buffers_are_named_by_layers_and_variables_and_are_there_once() -> None:
    model = made(
        layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(3), layers.Dense(2, name="last")
    )
    assert [name for name, _ in model.named_parameters()] == [
        "dense.kernel",
        "dense.bias",
        "batch_normalization.gamma",
        "batch_normalization.beta",
        "dense_1.kernel",
        "dense_1.bias",
        "last.kernel",
        "last.bias",
    ]
    assert [name for name, _ in model.named_buffers()] == [
        "batch_normalization.moving_mean",
        "batch_normalization.moving_variance",
        "dropout.seed_generator_state",
    ]
    assert len(model.state_dict()) == len({tensor.data_ptr() for tensor in model.state_dict().values()}) == 11


def test_names_don_t_depend_on_what_was_made_before() -> None:
    first, second = (
        made(layers.Dense(4), layers.Bidirectional(layers.LSTM(2)), layers.Dense(3), inputs=(5, 6)) for _ in range(2)
    )
    assert [*first.state_dict()] == [*second.state_dict()]
    assert "bidirectional.forward_lstm_kernel" in first.state_dict()


def test_layers_inside_layers_tell_their_variables_apart() -> None:
    model = made(layers.Dense(4), layers.LSTM(3), inputs=(5, 6))
    assert [name for name, _ in model.lstm.named_parameters()] == ["kernel", "recurrent_kernel", "bias"]
    with settings_of_a_model():
        entering = keras.Input((5, 4))
        model = KerasModel(keras.Model(entering, layers.MultiHeadAttention(2, 3, name="attention")(entering, entering)))
    assert {"attention.query_kernel", "attention.attention_output_bias"} <= {name for name, _ in model.named_parameters()}


def test_a_layer_s_name_that_a_module_has_already_gets_a_line_under_it() -> None:
    model = made(layers.Dense(4, name="train"), layers.Dense(2, name="a-b"))
    assert [name for name, _ in model.named_parameters()] == ["train_.kernel", "train_.bias", "a_b.kernel", "a_b.bias"]
    assert model.train() is model


NETS = {
    "dense": lambda: (layers.Dense(8, activation="gelu"), layers.Dense(3)),
    "convolutions": lambda: (
        layers.Reshape((1, 8, 8)),
        layers.Conv2D(4, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(2),
        layers.DepthwiseConv2D(3),
        layers.SeparableConv2D(4, 2, strides=2),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3),
    ),
    "normalized": lambda: (
        layers.Dense(8),
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.Dense(3, activation="softmax"),
    ),
    "recurrent": lambda: (
        layers.Reshape((8, 8)),
        layers.Bidirectional(layers.GRU(3, return_sequences=True)),
        layers.LSTM(4),
        layers.Dense(3),
    ),
    "masked": lambda: (
        layers.Reshape((8, 8)),
        layers.Masking(0.0),
        layers.LSTM(4, return_sequences=True),
        layers.GlobalAveragePooling1D(data_format="channels_last"),
    ),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_it_answers_and_has_gradients_as_keras_itself_has(name: str, training: bool) -> None:
    with settings_of_a_model():
        net = keras.Sequential([keras.Input((64,)), *NETS[name]()])
        inputs = batch(5, 64)
        inputs[:, 40:] = 0
        expected = net(inputs, training=training)
        expected.square().sum().backward()
        gradients = [variable.value.grad.clone() for variable in net.trainable_variables]
        net.set_weights(weights := net.get_weights())
        for variable in net.trainable_variables:
            variable.value.grad = None
    model = KerasModel(net).train(training)
    model.net.set_weights(weights)
    found = model(inputs)
    found.square().sum().backward()
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert len(gradients) == len([*model.parameters()])
    by_variable = {id(variable.value): gradient for variable, gradient in zip(net.trainable_variables, gradients, strict=True)}
    for parameter in model.parameters():
        assert torch.allclose(parameter.grad, by_variable[id(parameter)], rtol=1e-4, atol=1e-5)


def test_train_and_eval_are_keras_s_training() -> None:
    model = made(layers.BatchNormalization(), layers.Dropout(0.5))
    before = model.batch_normalization.moving_mean.clone()
    inputs = batch(20, 6) + 3
    assert torch.equal(model.eval()(inputs), model(inputs))
    assert torch.equal(model.batch_normalization.moving_mean, before)
    found = model.train()(inputs)
    assert 0.3 < float((found == 0).float().mean()) < 0.7
    assert torch.allclose(model.batch_normalization.moving_mean, 0.01 * inputs.mean(0), rtol=1e-4)


def test_dropout_draws_from_torch_s_generator() -> None:
    model = made(layers.Dropout(0.5))
    inputs = batch(8, 6)
    torch.manual_seed(7)
    first = model(inputs)
    assert not torch.equal(model(inputs), first)
    torch.manual_seed(7)
    assert torch.equal(model(inputs), first)


def test_noise_of_keras_s_own_generators_goes_on_from_the_state() -> None:
    model = made(layers.GaussianNoise(1.0))
    inputs = torch.zeros(8, 6)
    model(inputs)
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    following = [model(inputs) for _ in range(2)]
    assert not torch.equal(*following)
    other = made(layers.GaussianNoise(1.0))
    other.load_state_dict(kept)
    assert all(torch.equal(other(inputs), one) for one in following)


def test_what_is_frozen_is_no_parameter() -> None:
    with settings_of_a_model():
        frozen = layers.Dense(4, trainable=False)
    model = made(frozen, layers.Dense(2))
    assert [name for name, _ in model.named_parameters()] == ["dense_1.kernel", "dense_1.bias"]
    assert [name for name, _ in model.named_buffers()] == ["dense.kernel", "dense.bias"]


def test_a_graph_with_branches_shared_layers_and_operations_runs_as_keras_runs_it() -> None:
    with settings_of_a_model():
        entering = keras.Input((6,))
        shared = layers.Dense(6, activation="tanh")
        one, two = shared(entering), shared(shared(entering))
        added = layers.Add()([one, two]) * 2.0
        inner = keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.BatchNormalization()], name="inner")
        leaving = layers.Concatenate()([inner(added), keras.ops.exp(one)[:, 1:4]])
        net = keras.Model(entering, leaving)
        inputs = batch(5, 6)
        expected = net(inputs, training=False)
    model = KerasModel(net).eval()
    assert torch.equal(model(inputs), expected)
    assert "inner.dense.kernel" in model.state_dict()
    assert len([*model.parameters()]) == 6


def test_losses_of_layers_are_those_of_the_last_call() -> None:
    model = made(layers.Dense(4, kernel_regularizer="l2", activity_regularizer="l1"), layers.Dense(2, bias_regularizer="l1"))
    inputs = batch(8, 6)
    for _ in range(2):
        units = inputs @ model.dense.kernel + model.dense.bias
        model(inputs)
        expected = 0.01 * (units.abs().sum() / 8 + model.dense.kernel.square().sum() + model.dense_1.bias.abs().sum())
        assert torch.allclose(torch.stack(model.losses).sum(), expected, rtol=1e-5)
        assert torch.stack(model.losses).sum().requires_grad


def test_losses_of_a_model_that_is_in_another_are_all_there() -> None:
    with settings_of_a_model():
        inner = keras.Sequential([keras.Input((6,)), layers.Dense(6, activity_regularizer="l1")], name="inner")
        entering = keras.Input((6,))
        model = KerasModel(keras.Model(entering, [inner(entering), inner(inner(entering))]))
    inputs = batch(5, 6)
    for _ in range(2):
        outputs = model(inputs)
        expected = [0.01 * float(one.detach().abs().sum()) / 5 for one in (outputs[0], outputs[0], outputs[1])]
        assert sorted(float(loss.detach()) for loss in model.losses) == pytest.approx(sorted(expected), rel=1e-5)


def test_threads_that_compute_in_float64_leave_keras_as_it_was() -> None:
    model = made(layers.Dense(4), layers.Dense(2)).double()
    inputs = batch(5, 6).double()
    expected = model(inputs)
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(lambda _: model(inputs), range(200))]
    assert all(torch.equal(one, expected) for one in found)
    assert (keras.config.floatx(), keras.backend.result_type("float64", "float64")) == ("float32", "float32")


def test_in_float64_it_computes_in_float64() -> None:
    model = made(layers.Dense(4, activation="tanh"), layers.LayerNormalization(), layers.Dense(2)).double()
    inputs = batch(5, 6).double()
    with settings_of_a_model():
        units = torch.tanh(inputs @ model.dense.kernel + model.dense.bias)
        units = nn.functional.layer_norm(
            units, (4,), model.layer_normalization.gamma, model.layer_normalization.beta, eps=0.001
        )
        expected = units @ model.dense_1.kernel + model.dense_1.bias
    found = model(inputs)
    assert found.dtype == torch.float64
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert (keras.config.floatx(), keras.backend.result_type("float64", "float32")) == ("float32", "float32")


def test_it_moves_between_precisions_and_back() -> None:
    model = made(layers.Dense(4), layers.Dense(2))
    inputs = batch(5, 6)
    before = model(inputs)
    for dtype in (torch.bfloat16, torch.float64):
        assert model.to(dtype)(inputs.to(dtype)).dtype == dtype
        assert {variable.dtype for variable in model.net.variables} == {str(dtype).removeprefix("torch.")}
    assert torch.allclose(model.float()(inputs), before, rtol=2e-2, atol=1e-2)


def test_a_copy_is_the_same_and_shares_nothing() -> None:
    with settings_of_a_model():
        entering = keras.Input((6,))
        inner = keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.Dropout(0.5)], name="inner")
        leaving = layers.TorchModuleWrapper(nn.PReLU(), output_shape=(4,))(inner(entering))
        model = KerasModel(keras.Model(entering, leaving))
    inputs = batch(5, 6)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    copied = copy.deepcopy(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(copied.eval()(inputs), model.eval()(inputs))
    before = model(inputs)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.fill_(1)
    copied.double()
    assert torch.equal(model(inputs), before)
    assert copied(inputs.double()).dtype == torch.float64
    assert {id(tensor) for tensor in copied.parameters()}.isdisjoint({id(tensor) for tensor in model.parameters()})
    assert not {id(layer) for layer in copied.net._flatten_layers()} & {id(layer) for layer in model.net._flatten_layers()}


def test_hooks_of_layers_are_called() -> None:
    model = made(layers.Dense(4), layers.Dense(2))
    seen: list[str] = []
    for name in ("dense", "dense_1"):
        getattr(model, name).register_forward_pre_hook(lambda *_, name=name: seen.append(name))
    model(batch(5, 6))
    assert seen == ["dense", "dense_1"]


def test_torch_func_runs_it_with_other_tensors() -> None:
    model = made(layers.Dense(4), layers.BatchNormalization(), layers.Dense(2)).eval()
    inputs = batch(5, 6)
    others = {name: 2 * parameter.detach() for name, parameter in model.named_parameters()}
    before = model(inputs)
    found = torch.func.functional_call(model, others, (inputs,))
    assert torch.equal(model(inputs), before)
    model.load_state_dict(others, strict=False)
    assert torch.equal(model(inputs), found)


def test_keras_s_own_ways_to_weights_lead_to_the_same_tensors() -> None:
    model = made(layers.Dense(4))
    model.net.set_weights([torch.ones(6, 4).numpy(), torch.zeros(4).numpy()])
    assert bool((model.dense.kernel == 1).all())
    with torch.no_grad():
        model.dense.bias.fill_(3)
    assert model.net.get_weights()[1].tolist() == [3.0] * 4


def test_a_layer_that_is_not_keras_s_own_runs_as_keras_runs_it() -> None:
    class Doubled(keras.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

        def call(self, inputs: Any, training: bool = False) -> Any:
            self.add_loss(keras.ops.sum(self.scale))
            return inputs * self.scale * (2.0 if training else 1.0)

    model = made(Doubled())
    inputs = batch(5, 6)
    for _ in range(2):
        assert torch.equal(model.train()(inputs), 2 * inputs)
        assert [float(loss.detach()) for loss in model.losses] == [6.0]
    assert torch.equal(model.eval()(inputs), inputs)
    assert torch.equal(copy.deepcopy(model)(inputs), inputs)


def test_what_it_can_t_take_is_refused() -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs

    with settings_of_a_model():
        with pytest.raises(ValueError, match="a functional or sequential Keras model is what this takes, not a Own"):
            KerasModel(Own())
        entering = keras.Input((6,))
        with pytest.raises(ValueError, match="a functional or sequential Keras model is what this takes, not a Own"):
            KerasModel(Own(entering, layers.Dense(2)(entering)))
        with pytest.raises(ValueError, match=r"has no weights yet: begin it with keras\.Input"):
            KerasModel(keras.Sequential([layers.Dense(2)]))
        with pytest.raises(ValueError, match="has the dtype policy mixed_float16: leave it to weft's `precision`"):
            KerasModel(keras.Sequential([keras.Input((6,)), layers.Dense(2, dtype="mixed_float16")]))
