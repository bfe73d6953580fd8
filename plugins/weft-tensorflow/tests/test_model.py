"""A tf.Module, or a function, as a module of torch's: its weights, its gradients, its state, and what is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.networks import Dropped, Looped, Normalized, tf
from weft_tensorflow import TensorFlowModel

MODULES: dict[str, tuple[Callable[[], Any], Callable[[], Tensor]]] = {
    "dropped": (lambda: Dropped(6, 3), lambda: torch.randn(5, 6)),
    "normalized": (lambda: Normalized(6, 3), lambda: torch.randn(5, 6)),
    "looped": (lambda: Looped(9, 3), lambda: torch.randint(9, (5, 7))),
}


@pytest.fixture(params=MODULES)
def made(request: pytest.FixtureRequest) -> tuple[TensorFlowModel, Tensor]:
    torch.manual_seed(0)
    make, inputs = MODULES[request.param]
    return TensorFlowModel(make), inputs()


def test_weights_have_the_names_of_their_places() -> None:
    model = TensorFlowModel(lambda: Normalized(6, 3))
    assert [*dict(model.named_parameters())] == ["first", "last.bias", "last.kernel"]
    assert [*dict(model.named_buffers())] == ["batches", "mean", "variance"]
    assert [*dict(TensorFlowModel(lambda: Dropped(6, 3)).named_parameters())] == ["layers.0", "layers.1"]
    assert {*model.state_dict()} == {"first", "last.bias", "last.kernel", "batches", "mean", "variance"}


def test_initial_weights_follow_from_torchs_seed() -> None:
    def first(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return TensorFlowModel(lambda: Dropped(6, 3)).state_dict()["layers.0"]

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_it_computes_what_the_module_does() -> None:
    module = Normalized(6, 3)
    expected = module(tf.constant(range(12), shape=(2, 6), dtype=tf.float32)).numpy()
    outputs = TensorFlowModel(module).eval()(torch.arange(12.0).reshape(2, 6))
    assert torch.equal(outputs.detach(), torch.from_numpy(expected))


@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_those_of_what_it_computes(made: tuple[TensorFlowModel, Tensor], training: bool) -> None:
    """Once and twice; in training with one draw, and from the state that there was before."""
    model, inputs = made
    model.double().train(training)
    names = [name for name, _ in model.named_parameters()]
    values = [parameter.detach().clone().requires_grad_() for parameter in model.parameters()]

    def outputs(samples: Tensor, *parameters: Tensor) -> Tensor:
        torch.manual_seed(3)
        found: Tensor = torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (samples,))
        assert found.dtype == torch.float64
        return found

    samples = inputs.double().requires_grad_() if inputs.is_floating_point() else inputs
    assert torch.autograd.gradcheck(outputs, (samples, *values), nondet_tol=1e-12)
    assert torch.autograd.gradgradcheck(outputs, (samples, *values), nondet_tol=1e-12)


def test_only_the_gradients_that_are_asked_for() -> None:
    model = TensorFlowModel(lambda: Dropped(6, 3))
    model.get_parameter("layers.0").requires_grad_(False)
    inputs = torch.randn(4, 6, requires_grad=True)
    model(inputs).sum().backward()
    assert model.get_parameter("layers.0").grad is None
    assert model.get_parameter("layers.1").grad is not None
    assert inputs.grad is not None


def test_what_the_outputs_dont_depend_on_has_no_gradient() -> None:
    class Idle(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = tf.Variable(tf.ones(())), tf.Variable(tf.ones(()))

        def __call__(self, inputs: Any) -> Any:
            return inputs * self.used

    model = TensorFlowModel(Idle)
    model(torch.ones(2, 1)).sum().backward()
    assert model.get_parameter("idle").grad is None
    assert model.get_parameter("used").grad == 2


def test_a_second_backward_through_one_graph() -> None:
    torch.manual_seed(0)
    model = TensorFlowModel(lambda: Dropped(6, 3))
    outputs = model(torch.randn(5, 6)).square().sum()
    first = torch.autograd.grad(outputs, [*model.parameters()], retain_graph=True)
    second = torch.autograd.grad(outputs, [*model.parameters()])
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


def test_weights_that_were_changed_meanwhile_are_noticed() -> None:
    model = TensorFlowModel(lambda: Dropped(6, 3))
    outputs = model(torch.randn(5, 6)).sum()
    with torch.no_grad():
        model.get_parameter("layers.0").add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.backward()


def test_state_changes_in_training_and_is_kept() -> None:
    model = TensorFlowModel(lambda: Normalized(6, 3))
    inputs = torch.randn(50, 6) + 3
    for _ in range(80):
        model(inputs)
    assert model.get_buffer("batches") == 80
    units = inputs @ model.get_parameter("first").detach()
    assert torch.allclose(model.get_buffer("mean"), units.mean(0), atol=1e-2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.eval()(inputs)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    again = TensorFlowModel(lambda: Normalized(6, 3))
    again.load_state_dict(before)
    assert torch.equal(again.eval()(inputs), model(inputs))


def test_random_numbers_follow_from_torchs_generator() -> None:
    model, inputs = TensorFlowModel(lambda: Dropped(6, 3)), torch.randn(5, 6)
    torch.manual_seed(1)
    first, second = model(inputs), model(inputs)
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(model(inputs), first)
    state = torch.get_rng_state()
    model.eval()(inputs)
    assert torch.equal(torch.get_rng_state(), state)


def test_what_torch_does_in_place_stays_torchs() -> None:
    """TensorFlow gives constants of its graphs, and its arguments, as results. Were they shared, torch would change them."""

    class Through(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = tf.Variable(tf.zeros(3))
            self.scale = tf.Variable(tf.ones(3))

        def __call__(self, inputs: Any) -> Any:
            return tf.identity(inputs) + 0 * self.shift

    model, inputs = TensorFlowModel(Through), torch.ones(2, 3, requires_grad=True)
    for _ in range(3):
        outputs = model(inputs)
        gradient = torch.ones(2, 3)
        outputs.backward(gradient)
        assert inputs.grad is not None
        assert torch.equal(inputs.grad, torch.ones(2, 3))
        assert torch.equal(outputs.detach(), torch.ones(2, 3))
        shift = model.get_parameter("shift").grad
        assert shift is not None
        assert torch.equal(shift, torch.zeros(3))
        for tensor in (outputs.detach(), inputs.grad, shift):
            tensor.add_(7)
        assert torch.equal(gradient, torch.ones(2, 3))
        inputs.grad, model.get_parameter("shift").grad = None, None
    assert torch.equal(inputs.detach(), torch.ones(2, 3))


def test_memory_that_begins_anywhere() -> None:
    """TensorFlow's kernels end the process over a tensor that doesn't begin where they need it to."""
    model = TensorFlowModel(lambda: Dropped(6, 3)).eval()
    samples = torch.randn(9, 7)
    expected = model(samples[1:, 1:].clone())
    assert torch.equal(model(samples[1:, 1:]), expected)
    assert torch.equal(model(samples.flatten()[1:55].reshape(9, 6)), model(samples.flatten()[1:55].reshape(9, 6).clone()))
    flat = torch.cat([torch.zeros(1), *(parameter.detach().flatten() for parameter in model.parameters())])
    begin = 1
    for parameter in model.parameters():
        parameter.data = flat[begin : begin + parameter.numel()].view_as(parameter)
        begin += parameter.numel()
    assert torch.equal(model(samples[1:, 1:]), expected)
    model(samples[1:, 1:]).sum().backward()
    flat.zero_()
    assert not model(samples[1:, 1:]).any()


def test_a_copy_has_weights_of_its_own() -> None:
    model, inputs = TensorFlowModel(lambda: Dropped(6, 3)).eval(), torch.randn(5, 6)
    expected = model(inputs)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert not other(inputs).any()
    assert torch.equal(model(inputs), expected)


def test_there_and_back_between_types() -> None:
    torch.manual_seed(0)
    model, inputs = TensorFlowModel(lambda: Normalized(6, 3)).eval(), torch.randn(5, 6)
    expected = model(inputs)
    exact = model.double()(inputs.double())
    assert exact.dtype == torch.float64
    assert torch.allclose(exact.float(), expected, atol=1e-5)
    assert torch.equal(model.float()(inputs), expected)


def test_under_autocast_it_computes_in_its_weights_type() -> None:
    model, inputs = TensorFlowModel(lambda: Dropped(6, 3)).eval(), torch.randn(5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(inputs.bfloat16()).dtype == torch.float32


def test_a_function_and_its_variables() -> None:
    def line(inputs: Any, variables: Any) -> Any:
        return inputs @ variables["kernel"] + variables["bias"]

    model = TensorFlowModel(line, variables={"kernel": torch.eye(3).numpy(), "bias": tf.Variable(tf.ones(3), trainable=False)})
    assert [*dict(model.named_parameters())] == ["kernel"]
    assert [*dict(model.named_buffers())] == ["bias"]
    assert torch.equal(model(torch.zeros(2, 3)).detach(), torch.ones(2, 3))
    assert model.double()(torch.zeros(2, 3, dtype=torch.float64)).dtype == torch.float64


def test_initial_weights_from_torch() -> None:
    drawn = {"layers.0": nn.Parameter(torch.randn(6, 16)), "layers.1": nn.Parameter(torch.randn(16, 3))}
    model = TensorFlowModel(lambda: Dropped(6, 3), weights=drawn).eval()
    inputs = torch.randn(4, 6)
    expected = (inputs @ drawn["layers.0"]).relu() @ drawn["layers.1"]
    assert torch.allclose(model(inputs), expected, atol=1e-5)
    wrong = {"layers.0": nn.Parameter(torch.randn(6, 16)), "layers.1": nn.Parameter(torch.randn(16, 4))}
    with pytest.raises(ValueError, match=r"aren't those of the module: layers.1 .*\(16, 4\), True.*\(16, 3\), True"):
        TensorFlowModel(lambda: Dropped(6, 3), weights=wrong)(inputs)


def test_the_module_itself_is_never_changed() -> None:
    module = Normalized(6, 3)
    first, kernel = module.first, module.last["kernel"]
    model = TensorFlowModel(module).double()
    model(torch.randn(5, 6, dtype=torch.float64)).sum().backward()
    assert module.first is first
    assert module.last["kernel"] is kernel


def _refused(make: Any, message: str, **named: Any) -> None:
    with pytest.raises(ValueError, match=message):
        TensorFlowModel(make, **named)(torch.ones(2, 3))


def test_refused() -> None:
    scale = tf.Variable(tf.ones(3))

    class Module(tf.Module):
        def __init__(self, call: Callable[[Any], Any]):
            super().__init__()
            self.kernel = tf.Variable(tf.ones((3, 3)))
            self.call = call

        def __call__(self, inputs: Any) -> Any:
            return self.call(inputs @ self.kernel)

    _refused(lambda: Module(tf.nn.softmax).kernel, "is a tf.Module that can be called, and this is ResourceVariable")
    _refused(tf.Module, "can be called, and this is Module")
    _refused(lambda: Module(lambda x: tf.nn.dropout(x, 0.5)), r"draws random numbers \(RandomUniform\).*parameter `seed`")
    _refused(lambda: Module(lambda x: x * scale), "uses variables that aren't its module's.*Variable")
    _refused(lambda: Module(lambda x: (x, x)), "returns one tensor.*returns tuple")
    _refused(lambda: Module(lambda x: None), "returns one tensor.*returns NoneType")
    _refused(lambda inputs, variables: inputs, "no trainable variables", variables={})
    _refused(lambda inputs, variables: inputs, "can't have the name forward", variables={"forward": tf.Variable(tf.ones(3))})
    _refused(lambda inputs, variables: inputs, "can't have the name a", variables={"a": tf.ones(3), "a.b": tf.ones(3)})


def test_a_graph_for_a_kind_of_inputs_and_none_for_a_size_of_batch() -> None:
    traced = []

    def line(inputs: Any, variables: Any, training: bool) -> Any:
        traced.append((inputs.shape.as_list(), training))
        return inputs * variables["scale"]

    model = TensorFlowModel(line, variables={"scale": tf.Variable(tf.ones(3))})
    for size in (4, 1, 7):
        assert model(torch.ones(size, 3)).shape == (size, 3)
    assert traced == [([None, 3], True)]
    model.eval()(torch.ones(2, 3))
    model(torch.ones(2, 5, 3))
    assert traced == [([None, 3], True), ([None, 3], False), ([None, 5, 3], False)]


def test_transforms_of_torch_func() -> None:
    torch.manual_seed(0)
    model = TensorFlowModel(lambda: Dropped(6, 3)).double().eval()
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    inputs = torch.randn(4, 6, dtype=torch.float64)

    def loss(weights: dict[str, Tensor], sample: Tensor) -> Tensor:
        found: Tensor = torch.func.functional_call(model, weights, (sample.unsqueeze(0),))
        return found.square().sum()

    together = torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, inputs)
    for index, sample in enumerate(inputs):
        leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
        expected = torch.autograd.grad(loss(leaves, sample), [*leaves.values()])
        for found, there in zip(together.values(), expected, strict=True):
            assert torch.allclose(found[index], there)


def test_weights_that_torch_parametrizes() -> None:
    model = TensorFlowModel(lambda: Normalized(6, 3))
    nn.utils.parametrizations.weight_norm(model.get_submodule("last"), "kernel")
    model(torch.randn(5, 6)).sum().backward()
    assert {"last.bias", "last.parametrizations.kernel.original0"} < dict(model.named_parameters()).keys()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_threads_at_once() -> None:
    """Each call assigns its weights to the same variables."""
    import threading

    models = [TensorFlowModel(lambda: Dropped(6, 3)).eval()]
    models.append(copy.deepcopy(models[0]))
    with torch.no_grad():
        models[1].get_parameter("layers.1").neg_()
    inputs = torch.randn(5, 6)
    expected = [model(inputs) for model in models]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(200):
            if not torch.equal(models[index](inputs), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
