"""Maximum norm, label smoothing, gradient noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.plugins.box import kept
from weft_basics.losses.cross_entropy import CrossEntropy
from weft_basics.losses.hinge import Hinge
from weft_basics.regularizers.gradient_noise import GradientNoise
from weft_basics.regularizers.label_smoothing import LabelSmoothing
from weft_basics.regularizers.max_norm import MaxNorm


class TestMaxNorm:
    def test_units_above_the_limit_come_down_to_it_and_others_stay(self) -> None:
        model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.Flatten(), nn.Linear(8, 3))
        with torch.no_grad():
            model[0].weight[::2] *= 20
            model[0].bias.fill_(50)
        before = model[0].weight.detach().clone()
        MaxNorm(1.5).weights(model)
        norms, old = model[0].weight.flatten(1).norm(dim=1), before.flatten(1).norm(dim=1)
        torch.testing.assert_close(norms, old.clamp_max(1.5))
        small = old <= 1.5
        assert small.any()
        assert not small.all()
        assert torch.equal(model[0].weight[small], before[small])
        cosine = nn.functional.cosine_similarity(model[0].weight.flatten(1), before.flatten(1))
        torch.testing.assert_close(cosine, torch.ones(6))
        assert torch.equal(model[0].bias, torch.full((6,), 50.0))

    def test_a_unit_of_zeros_stays(self) -> None:
        model = nn.Linear(3, 2)
        with torch.no_grad():
            model.weight.zero_()
        MaxNorm(1.0).weights(model)
        assert torch.equal(model.weight, torch.zeros(2, 3))


class TestLabelSmoothing:
    @pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
    def test_it_is_torch_s_own(self, smoothing: float) -> None:
        loss = CrossEntropy(4)
        outputs, targets = torch.randn(8, 4), torch.randint(4, (8,))
        inputs, soft = LabelSmoothing(loss, "classification", smoothing).batch(torch.randn(8, 2), targets)
        torch.testing.assert_close(loss(outputs, soft), nn.CrossEntropyLoss(label_smoothing=smoothing)(outputs, targets))
        assert inputs.shape == (8, 2)

    def test_targets_are_probabilities_of_the_inputs_type(self) -> None:
        smoothing = LabelSmoothing(CrossEntropy(4), "classification", 0.2)
        _, soft = smoothing.batch(torch.zeros(2, 3, dtype=torch.float64), torch.tensor([1, 3]))
        assert soft.dtype == torch.float64
        torch.testing.assert_close(soft[0], torch.tensor([0.05, 0.85, 0.05, 0.05], dtype=torch.float64))
        _, soft = smoothing.batch(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([1, 3]))
        assert soft.dtype == torch.float32
        torch.testing.assert_close(soft.sum(1), torch.ones(2))

    @pytest.mark.parametrize(
        ("loss", "task", "message"),
        [
            (CrossEntropy(4), "regression", "label smoothing is for classification, and this dataset is regression"),
            (Hinge(), "classification", "Hinge takes none, cross_entropy does"),
            (nn.MSELoss(), "classification", "MSELoss takes none"),
            (CrossEntropy(4, label_smoothing=0.3), "classification", r"already \(label_smoothing=0.3\); choose one"),
            (CrossEntropy(2, torch.ones(2)), "classification", "with class weights, smooth labels in the loss"),
        ],
    )
    def test_losses_that_do_not_go_with_it_are_refused(self, loss: Any, task: str, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            LabelSmoothing(loss, task)


class TestGradientNoise:
    def noise(self, noise: GradientNoise) -> torch.Tensor:
        model = nn.Linear(300, 300, bias=False)
        model.weight.grad = torch.ones_like(model.weight)
        noise.gradients(model)
        return model.weight.grad - 1

    @pytest.mark.parametrize(("steps", "eta", "gamma"), [(0, 0.01, 0.55), (9, 1.0, 0.55), (99, 0.3, 1.0)])
    def test_its_variance_is_the_paper_s(self, steps: int, eta: float, gamma: float) -> None:
        noise = GradientNoise(eta, gamma)
        model = nn.Linear(2, 2)
        for _ in range(steps):
            noise.weights(model)
        drawn = self.noise(noise)
        variance = eta / (1 + steps) ** gamma
        assert float(drawn.var()) == pytest.approx(variance, rel=0.03)
        assert abs(float(drawn.mean())) < 5 * (variance / drawn.numel()) ** 0.5

    def test_asking_twice_in_a_step_draws_anew_but_does_not_fade(self) -> None:
        noise = GradientNoise()
        assert not torch.equal(self.noise(noise), self.noise(noise))
        assert noise.deviation == pytest.approx(0.1)

    def test_parameters_without_a_gradient_are_passed_over(self) -> None:
        model = nn.Linear(2, 2)
        model.bias.grad = torch.zeros(2)
        GradientNoise().gradients(model)
        assert model.weight.grad is None
        assert model.bias.grad.abs().sum() > 0

    def test_it_fades_on_from_a_checkpoint(self, tmp_path: Path) -> None:
        noise, resumed = GradientNoise(), GradientNoise()
        for _ in range(7):
            noise.weights(nn.Linear(2, 2))
        resumed.load_state_dict(kept(noise.state_dict(), tmp_path))
        assert resumed.deviation == noise.deviation < GradientNoise().deviation
