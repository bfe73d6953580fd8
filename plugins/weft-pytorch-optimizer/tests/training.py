"""A small model with all kinds of weights, and the way that a run trains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.build import build
from weft.catalog import catalog
from weft.configuration import part

_SAMPLES, _BATCH, _TOKENS, _CLASSES = 48, 8, 11, 3

NEEDED: dict[str, dict[str, Any]] = {"ranger21": {"num_iterations": 200}}
"""Options that have no default."""


class Mixed(nn.Module):
    """Embeddings, kernels of one dimension and of two, normalisations of both kinds, wide and tall matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(_TOKENS, 8)
        self.over_tokens = nn.Conv1d(8, 6, 3, padding=1)
        self.over_samples = nn.LayerNorm(6)
        self.over_pixels = nn.Conv2d(1, 4, 3, padding=1)
        self.over_batch = nn.BatchNorm2d(4)
        self.hidden = nn.Linear(4 * 16 + 6, 10)
        self.output = nn.Linear(10, _CLASSES)

    def forward(self, pixels: Tensor, tokens: Tensor) -> Tensor:
        seen = torch.relu(self.over_batch(self.over_pixels(pixels))).flatten(1)
        read = self.over_samples(self.over_tokens(self.embedding(tokens).transpose(1, 2)).mean(2))
        found: Tensor = self.output(torch.tanh(self.hidden(torch.cat([seen, read], 1))))
        return found


class Training:
    """A model, an optimizer chosen as a config chooses it, and samples that can be learnt."""

    def __init__(self, name: str, precision: torch.dtype = torch.float32, **options: Any):
        torch.manual_seed(0)
        self.model = Mixed().to(precision)
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.randn(_SAMPLES, 1, 4, 4, generator=generator).to(precision)
        self.tokens = torch.randint(0, _TOKENS, (_SAMPLES, 5), generator=generator)
        self.labels = (self.tokens.sum(1) + (self.pixels.mean((1, 2, 3)) > 0)) % _CLASSES
        self.optimizer = optimizer(name, self.model, **options)
        self.steps = 0

    def closure(self, batch: slice | None = None) -> Callable[[], Tensor]:
        """Return what computes the gradients of a batch, the next one unless it is given."""
        start = self.steps * _BATCH % _SAMPLES
        chosen = batch or slice(start, start + _BATCH)

        def gradients() -> Tensor:
            with torch.enable_grad():
                self.optimizer.zero_grad()
                outputs = self.model(self.pixels[chosen], self.tokens[chosen])
                loss = functional.cross_entropy(outputs, self.labels[chosen])
                loss.backward()
            return loss.detach()

        return gradients

    def train(self, steps: int) -> None:
        """Take so many steps, batch by batch."""
        self.model.train()
        for _ in range(steps):
            self.optimizer.step(self.closure())
            self.steps += 1

    @torch.no_grad()
    def loss(self) -> float:
        """Return the loss on all samples, as a run evaluates it."""
        self.model.eval()
        return float(functional.cross_entropy(self.model(self.pixels, self.tokens), self.labels))

    def state(self) -> dict[str, Any]:
        """Return all that going on needs."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "random": torch.get_rng_state()}

    def go_on_from(self, state: Mapping[str, Any], steps: int) -> None:
        """Go back to where a state was taken."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        self.steps = steps


def optimizer(name: str, model: nn.Module, params: Any = None, **options: Any) -> Any:
    """Return an optimizer of a model's weights, or of some of them, as a config chooses it."""
    chosen = part("optimizer", {"name": name, **NEEDED.get(name, {}), **options}, catalog())
    return build(chosen, catalog(), params=[*model.parameters()] if params is None else params, model=model)


def scheduler(name: str, optimizer: Any, total_steps: int, **options: Any) -> Any:
    """Return a scheduler, as a config chooses it."""
    chosen = part("scheduler", {"name": name, **options}, catalog())
    return build(chosen, catalog(), optimizer=optimizer, total_steps=total_steps)


def loss(name: str, outputs: int, class_weights: Tensor | None = None, **options: Any) -> Any:
    """Return a loss, as a config chooses it."""
    chosen = part("loss", {"name": name, **options}, catalog())
    return build(chosen, catalog(), task="classification", outputs=outputs, class_weights=class_weights)
