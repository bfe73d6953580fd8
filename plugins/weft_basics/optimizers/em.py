"""Expectation and maximization: steps to where the likelihood is highest, in place of steps along its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from weft import ConfigError, Range, Run


class EM(torch.optim.Optimizer):
    """Expectation-maximization, and where labels are known the maximum likelihood in one step.

    The gradient of a negative log-likelihood by a model's outputs is, but for its sign, how much of each sample is each
    output's: a label's 1, or a mixture's posterior probability, its responsibility. That is the expectation, and any loss
    that is a likelihood has it. The maximization is the model's, `maximized(inputs, shares, rate)`, in closed form. One step
    takes one batch: with all samples in it this is the algorithm (Dempster et al., "Maximum likelihood from incomplete data
    via the EM algorithm", 1977), with some of them and a rate below 1 its stepwise kind (Cappé and Moulines, "On-line
    expectation-maximization algorithm for latent data models", 2009).

    Raises:
        ValueError: the model has no such maximum.
    """

    beside: ClassVar[dict[str, Any]] = {"model": {"name": "gaussians"}, "loss": {"name": "joint_nll"}, "batch_size": 1_000_000}

    def __init__(
        self,
        params: Iterable[Any],
        model: nn.Module,
        lr: Annotated[
            float, Range(0, 1), "how much a batch counts for, beside what was before: with all samples in it, 1"
        ] = 1.0,
    ):
        if not hasattr(model, "maximized"):
            kind = type(model).__name__
            raise ValueError(
                f"em is for models with a maximum in closed form, such as gaussians or kmeans, and {kind} has none"
            )
        super().__init__(params, {"lr": lr})
        self.model: Any = model
        self.names = {id(parameter): name for name, parameter in model.named_parameters()}

    def check(self, run: Run) -> None:
        """Refuse what is no likelihood.

        Raises:
            ConfigError: a regularizer whose penalty would be passed over; a loss that asks for less of an output; batches of
                which only the last would count.
        """
        for name, part in run.regularizers.parts.items():
            if hasattr(part, "penalty") or hasattr(part, "gradients"):
                raise ConfigError(
                    f"optimizer=em: makes the likelihood the highest, and would pass over regularizer={name}; leave it out"
                )
        inputs, targets = (half[:64] for half in run.data.splits["train"])
        with run.device.session(), torch.no_grad():
            outputs = run.forward(inputs)
        with run.device.session(), torch.enable_grad():
            (gradient,) = torch.autograd.grad(run.loss(outputs.requires_grad_(), targets), outputs)
        _check_shares(-gradient, f"loss={run.configuration.one('loss').component.name}")
        samples, size = run.data.sizes()["train"], run.configuration.settings.batch_size
        scheduled = run.configuration.parts["scheduler"]
        if size < samples and not scheduled and any(group["lr"] == 1 for group in self.param_groups):
            raise ConfigError(
                f"optimizer=em: batch_size={size} is a part of the {samples} samples, and with lr=1 each batch counts for all: "
                f"take batch_size={samples}, or a lower optimizer.lr"
            )

    def step(self, closure: Callable[[], Tensor]) -> Tensor:  # type: ignore[override]
        """Move all weights to their maximum for what `closure` computes the loss of; return what it returns."""
        seen: list[tuple[Tensor, Tensor]] = []

        def watch(module: nn.Module, arguments: tuple[Tensor, ...], outputs: Tensor) -> None:
            if outputs.requires_grad:
                inputs = arguments[0].detach()
                outputs.register_hook(lambda gradient: seen.append((inputs, -gradient)))

        with self.model.register_forward_hook(watch), torch.enable_grad():
            loss = closure()
        inputs, shares = (torch.cat(parts) for parts in zip(*seen, strict=True))
        _check_shares(shares, "the loss")
        with torch.no_grad():
            moved = [group for group in self.param_groups if group["lr"]]
            maxima = [self.model.maximized(inputs, shares, group["lr"]) for group in moved]
            for group, found in zip(moved, maxima, strict=True):
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.copy_(found[self.names[id(parameter)]])
        return loss


def _check_shares(shares: Tensor, loss: str) -> None:
    """Refuse what is no share of samples (N, outputs) in each output, by the loss that it is from.

    Raises:
        ConfigError: less than nothing of one.
    """
    if (shares < 0).any():
        raise ConfigError(
            f"optimizer=em: {loss} isn't one whose gradient is a sample's share in each output: take joint_nll with labels, "
            "mixture_nll or distortion without"
        )
