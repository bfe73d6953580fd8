"""What a component under test is run with: generated samples, a small model, torch's gradient descent.

They are components of the catalog that tests use, and of no other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, get_args

import torch
from torch import Tensor, nn

from weft.catalog import Catalog, local
from weft.parameters import Choice, Range

Kind = Literal["vectors", "images", "series", "tokens", "numbers", "labelled_tokens", "next_tokens"]

Answers = Literal["scores", "log_probabilities"]
ANSWERS: tuple[str, ...] = get_args(Answers)

SAMPLES, MODEL, ACTIVATED, OPTIMIZER = "reference_samples", "reference_model", "reference_activated", "reference_sgd"

TASKS: dict[str, str] = {
    "vectors": "classification",
    "images": "classification",
    "series": "classification",
    "tokens": "classification",
    "numbers": "regression",
    "labelled_tokens": "sequence_labelling",
    "next_tokens": "language_modelling",
}
"""The task of each kind of samples."""

_SHAPES = {"vectors": (6,), "images": (1, 8, 8), "series": (12, 3), "numbers": (6,)}
_LENGTH, _VOCABULARY, _CLASSES, _NUMBERS = 12, 9, 3, 2
_SIZES = {"train": 48, "valid": 24, "test": 24}


class Samples:
    """Generated samples that can be learnt: 48 to train on, 24 in each other split.

    vectors (6,), images (1, 8, 8) and series (12, 3) of three classes, tokens (12,) out of 9 of three classes; numbers: (6,)
    with two targets above zero; labelled_tokens: a class for each of 12 tokens; next_tokens: each token's next.
    """

    def __init__(self, split_seed: int, kind: Kind = "vectors"):
        generator = torch.Generator().manual_seed(split_seed)
        self.task = TASKS[kind]
        self.vocabulary = _VOCABULARY if kind.endswith("tokens") else None
        self.inputs = (_LENGTH,) if self.vocabulary else _SHAPES[kind]
        self.outputs = _VOCABULARY if kind == "next_tokens" else _NUMBERS if kind == "numbers" else _CLASSES
        for split, size in _SIZES.items():
            setattr(self, split, _pair(kind, size, self.inputs, generator))


def _pair(kind: str, size: int, shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    if kind == "next_tokens":
        steps = torch.randint(1, 3, (size, _LENGTH + 1), generator=generator)
        walk = 1 + steps.cumsum(1) % (_VOCABULARY - 1)  # 0 would be no token
        return walk[:, :-1], walk[:, 1:]
    if kind.endswith("tokens"):
        tokens = torch.randint(1, _VOCABULARY, (size, _LENGTH), generator=generator)
        labels = tokens % _CLASSES
        return tokens, labels if kind == "labelled_tokens" else labels.sum(1) % _CLASSES
    inputs = torch.randn(size, *shape, generator=generator)
    if kind == "numbers":
        return inputs, 0.5 + torch.stack([inputs[:, 0] ** 2, (inputs[:, 1] - inputs[:, 2]).abs()], 1)
    labels = torch.arange(size) % _CLASSES
    inputs[:, ..., 0] += 2.0 * labels.reshape(-1, *[1] * (len(shape) - 1))
    return inputs, labels


class Reference(nn.Module):
    """One hidden layer of eight units: of a sample's numbers or tokens, of each token where all places are asked for.

    It answers with scores, or with the logarithms of probabilities.
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int, vocabulary: int | None, task: str, answers: Answers = "scores"):
        super().__init__()
        self.answers = answers
        self.places = task in ("sequence_labelling", "language_modelling")
        self.tokens = vocabulary is not None
        size = int(torch.Size(inputs).numel())
        self.hidden = nn.Embedding(vocabulary, 8) if vocabulary is not None else nn.Linear(size, 8)
        self.activation: nn.Module = nn.Tanh()
        self.output = nn.Linear(8, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.hidden(inputs if self.tokens else inputs.flatten(1))
        if self.tokens and not self.places:
            hidden = hidden.mean(1)
        found: Tensor = self.output(self.activation(hidden))
        return found if self.answers == "scores" else found.log_softmax(-1)


class Activated(Reference):
    """The same with an activation to be tested."""

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        vocabulary: int | None,
        task: str,
        activation: Annotated[Callable[[], nn.Module], Choice("activation")],
    ):
        super().__init__(inputs, outputs, vocabulary, task)
        self.activation = activation()


def with_reference(found: Catalog) -> Catalog:
    """Return a catalog that offers the reference parts as well."""
    made = Catalog({kind: {name: [*same] for name, same in names.items()} for kind, names in found.components.items()})
    made.failures, made.broken, made.loaded = found.failures, found.broken, {**found.loaded}
    for loaded in (
        local("dataset", Samples, SAMPLES),
        local("model", Reference, MODEL),
        local("model", Activated, ACTIVATED),
        local("optimizer", torch.optim.SGD, OPTIMIZER, lr=Annotated[float, Range(0, 10)]),
    ):
        made.add(loaded.component)
        made.loaded[loaded.component.kind, loaded.component.name] = loaded
    return made
