"""keras_own: what Keras layers add to the loss, and hold their weights to, themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import weft
from weft.errors import UserError
from weft_keras import KerasModel, keras
from weft_keras.backend import settings_of_a_model
from weft_keras.regularizers import Own


def made(**options: Any) -> KerasModel:
    with settings_of_a_model():
        return KerasModel(keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, **options), keras.layers.Dense(2)]))


def test_it_is_the_sum_of_the_layers_own_losses_and_has_their_gradients() -> None:
    model = made(kernel_regularizer=keras.regularizers.L1L2(0.1, 0.01), activity_regularizer="l2")
    inputs = torch.randn(5, 6)
    outputs = model(inputs)
    units = inputs @ model.dense.kernel + model.dense.bias
    kernel = model.dense.kernel
    expected = 0.1 * kernel.abs().sum() + 0.01 * kernel.square().sum() + 0.01 * units.square().sum() / 5
    found = Own(model).penalty(model, outputs)
    assert torch.allclose(found, expected, rtol=1e-5)
    (gradient,) = torch.autograd.grad(found, kernel, retain_graph=True)
    assert torch.allclose(gradient, torch.autograd.grad(expected, kernel)[0], rtol=1e-4, atol=1e-6)


def test_in_float64_it_is_computed_in_float64() -> None:
    model = made(kernel_regularizer="l2").double()
    found = Own(model).penalty(model, model(torch.randn(5, 6).double()))
    assert found.dtype == torch.float64
    assert float(found.detach()) == pytest.approx(0.01 * float(model.dense.kernel.detach().square().sum()), rel=1e-14)


def test_a_keras_model_within_another_module_is_found() -> None:
    model = nn.Sequential(nn.Linear(6, 6), made(kernel_regularizer="l2"))
    assert float(Own(model).penalty(model, model(torch.randn(5, 6))).detach()) > 0


def test_constraints_are_applied_after_a_step() -> None:
    model = made(kernel_constraint=keras.constraints.UnitNorm(axis=0), bias_constraint="non_neg")
    with torch.no_grad():
        model.dense.bias.copy_(torch.tensor([-1.0, 0.0, 1.0, 2.0]))
    other, kernel = model.dense_1.kernel.clone(), model.dense.kernel
    own = Own(model)
    own.weights(model)
    assert model.dense.kernel is kernel
    assert torch.allclose(kernel.norm(dim=0), torch.ones(4), atol=1e-5)
    assert model.dense.bias.tolist() == [0.0, 0.0, 1.0, 2.0]
    assert torch.equal(model.dense_1.kernel, other)
    assert float(own.penalty(model, model(torch.randn(5, 6)))) == 0


def test_a_model_without_any_is_refused() -> None:
    for model in (made(), nn.Linear(6, 2)):
        with pytest.raises(ValueError, match=f"and {type(model).__name__} has none: give a layer a kernel_regularizer"):
            Own(model)


def test_in_a_run_it_is_as_weft_s_own_penalty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["dataset=digits", "epochs=2", "precision=fp64", "model=keras_layers"]
    layer = "model.layers=[{dense: {units: 8, kernel_regularizer: {l2: 0.01}}}]"
    without = weft.run(*common, "model.layers=[{dense: {units: 8}}]")
    with_it = weft.run(*common, layer, "regularizer=keras_own")
    assert with_it.scores["test/loss"] != pytest.approx(without.scores["test/loss"], rel=1e-6)
    assert weft.run(*common, layer).scores == pytest.approx(without.scores)
    from mlflow import MlflowClient

    run_id = with_it.run_id  # once it is there: a store that is opened meanwhile would be made twice
    metrics = MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow.db").get_run(run_id).data.metrics
    assert metrics["train/penalty.keras_own"] > 0
    with pytest.raises(UserError, match=r"regularizer=keras_own: .* has none: give a layer a kernel_regularizer"):
        weft.run("model=mlp", "regularizer=keras_own")
