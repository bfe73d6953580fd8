"""tensorflow_mlp and tensorflow_cnn held against weft's mlp and cnn: the same weights, the same function, the same training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import weft
from weft.catalog import catalog
from weft_basics.models.cnn import CNN
from weft_basics.models.mlp import MLP
from weft_tensorflow.cnn import TensorFlowCNN
from weft_tensorflow.mlp import TensorFlowMLP

MODELS: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "mlp": (MLP, TensorFlowMLP, (5, 7)),
    "cnn": (CNN, TensorFlowCNN, (2, 9, 8)),
}


def drawn(factory: Any, seed: int, **options: Any) -> nn.Module:
    torch.manual_seed(seed)
    return factory(**options)


@pytest.mark.parametrize("name", MODELS)
def test_the_same_draws_in_the_same_order(name: str) -> None:
    theirs, ours, inputs = MODELS[name]
    options: dict[str, Any] = {"depth": 3, "width": 6} if name == "mlp" else {"channels": [3, 4], "kernel": 5}
    options |= {"inputs": inputs, "outputs": 3, "activation": nn.PReLU}
    if name == "mlp":
        options["output_activation"] = nn.PReLU
    expected, model = drawn(theirs, 5, **options), drawn(ours, 5, **options)
    after = torch.get_rng_state()
    drawn(theirs, 5, **options)
    assert torch.equal(after, torch.get_rng_state())
    there = expected.state_dict()
    assert [*there] == [*model.state_dict()]
    assert all(torch.equal(there[name], value) for name, value in model.state_dict().items())
    samples = torch.randn(4, *inputs, dtype=torch.float64)
    assert torch.allclose(model.double()(samples), expected.double()(samples), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_poolings(pooling: str) -> None:
    options: dict[str, Any] = {"inputs": (1, 11, 9), "outputs": 3, "pooling": pooling, "activation": nn.Sigmoid}
    samples = torch.randn(4, 1, 11, 9)
    assert torch.allclose(drawn(TensorFlowCNN, 0, **options)(samples), drawn(CNN, 0, **options)(samples), atol=1e-6)


def activations() -> list[str]:
    """Return the names of weft's own, whatever other packages are installed."""
    return [name for name, (offer,) in catalog().components["activation"].items() if offer.plugin.distribution == "weft"]


@pytest.mark.parametrize("name", activations())
def test_activations_are_torchs(name: str) -> None:
    """Values and gradients, at the defaults and in float64, kinks and far ends among the numbers."""
    from weft.build import build
    from weft.configuration import default_part
    from weft_tensorflow.activations import translated
    from weft_tensorflow.starting import tensorflow

    tf = tensorflow()
    module = build(default_part("activation", name, catalog()), catalog()).double()
    numbers = torch.cat([torch.linspace(-8, 8, 65), torch.tensor([-1e3, -40.0, 40.0, 1e3, 0.5, -0.5])]).double()
    given = numbers.reshape(-1, 1).expand(-1, 2).clone() if "softmax" in name else numbers
    given.requires_grad_()
    function = translated(module, "tensorflow_mlp")()
    if name == "prelu":
        function.weight = tf.Variable(module.weight.detach().numpy())
    weights = torch.linspace(1, 2, given.numel(), dtype=torch.float64).reshape(given.shape)
    expected = module(given)
    (slope,) = torch.autograd.grad((expected * weights).sum(), given)
    there = tf.constant(given.detach().numpy())
    with tf.GradientTape() as tape:
        tape.watch(there)
        found = function(there)
    found_slope = tape.gradient(found, there, output_gradients=tf.constant(weights.numpy()))
    assert torch.allclose(torch.from_numpy(found.numpy()), expected.detach(), rtol=1e-9, atol=1e-9)
    assert torch.allclose(torch.from_numpy(found_slope.numpy()), slope, rtol=1e-6, atol=1e-9)


def test_what_is_torchs_alone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tensorflow_mlp computes in TensorFlow, and has no GLU there; it has identity, "):
        TensorFlowMLP((3,), 2, activation=nn.ReLU, output_activation=nn.GLU)
    with pytest.raises(ValueError, match="tokens; rnn takes them"):
        TensorFlowMLP((3,), 2, vocabulary=9)
    with pytest.raises(ValueError, match=r"takes images of shape \[channels, height, width\], not samples of \[3\]"):
        TensorFlowCNN((3,), 2)
    with pytest.raises(ValueError, match=r"halve the image \[4, 4\] to nothing"):
        TensorFlowCNN((1, 4, 4), 2, channels=[2, 2, 2])


class Curve(weft.Callback):
    """The validation scores after each epoch."""

    def __init__(self) -> None:
        self.scores: list[dict[str, float]] = []

    def on_epoch_end(self, run: Any) -> None:
        self.scores.append(dict(run.scores))


class Start(weft.Callback):
    """What a model answers before it is trained."""

    @torch.no_grad()
    def on_fit_start(self, run: Any) -> None:
        self.samples = run.data.splits["valid"][0]
        self.answers = run.model.eval()(self.samples)


def trained(model: str, *overrides: str) -> tuple[list[dict[str, float]], Any]:
    curve = Curve()
    wanted = (f"model={model}", "precision=fp64", "seed=3", "observe.system=null", *overrides)
    return curve.scores, weft.run(*wanted, watching=[curve])


TRAININGS = [
    ("mlp", ["epochs=8", "optimizer=adamw"]),
    ("mlp", ["epochs=4", "optimizer=sgd", "optimizer.lr=0.1", "model.depth=2", "model.activation=gelu", "regularizer=l2"]),
    ("mlp", ["epochs=2", "optimizer=lbfgs", "optimizer.lr=0.1", "batch_size=2000", "model.width=16", "model.activation=tanh"]),
    ("mlp", ["epochs=3", "accumulate=3", "batch_size=50", "callback=clip_norm", "model.activation=prelu"]),
    ("mlp", ["epochs=3", "optimizer=muon", "regularizer=[max_norm,gradient_noise]", "model.depth=2"]),
    ("cnn", ["epochs=3", "optimizer=adamw", "model.channels=[4,8]"]),
    ("cnn", ["epochs=2", "regularizer=max_norm", "model.pooling=average", "model.kernel=5", "model.activation=elu"]),
]


@pytest.mark.parametrize(("model", "overrides"), TRAININGS, ids=lambda part: part if isinstance(part, str) else "-".join(part))
def test_trained_by_weft_they_stay_the_same(
    model: str, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs, expected = trained(model, *overrides)
    ours, found = trained(f"tensorflow_{model}", *overrides)
    assert len(theirs) == len(ours) == int(overrides[0].partition("=")[2])
    for there, here in zip(theirs, ours, strict=True):
        assert here == pytest.approx(there, rel=1e-9, abs=1e-12)
    assert theirs[-1]["valid/loss"] < theirs[0]["valid/loss"]
    assert found.scores == pytest.approx(expected.scores, rel=1e-9, abs=1e-12)
    weights = expected.model.state_dict()
    for name, value in found.model.state_dict().items():
        assert torch.allclose(weights[name], value, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("model", ["mlp", "tensorflow_mlp"])
def test_either_goes_on_with_the_others_weights(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (other,) = {"mlp", "tensorflow_mlp"} - {model}
    _, first = trained(model, "epochs=1")
    start = Start()
    weft.run(f"model={other}", "precision=fp64", "steps=1", f"init_from={first.folder}", watching=[start])
    assert torch.allclose(start.answers, first.model(start.samples), rtol=1e-12, atol=1e-12)


def test_options_are_the_same() -> None:
    for name in MODELS:
        ours, theirs = (catalog().find("model", found).options for found in (f"tensorflow_{name}", name))
        assert ours == theirs


def test_loaded_it_answers_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, done = trained("tensorflow_mlp", "epochs=1")
    again = weft.load(done.folder)
    samples = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    assert isinstance(again, TensorFlowMLP)
    assert torch.equal(again(samples), done.model(samples))
    assert weft.evaluate(done.folder) == {name: score for name, score in done.scores.items() if name.startswith("test/")}
